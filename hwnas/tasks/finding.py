"""How objects are read of answers, in the programs that ship: numpy alone, and Kotlin."""

from __future__ import annotations

from hwnas.tasks import android
from hwnas.tasks.base import Example

STRETCHING = (
    'shown = picture.convert("RGB")  # boxes are drawn on it, later\n'
    "picture = shown.resize(size, Image.Resampling.BILINEAR)\n"
)
"""Stretches a picture to a size, and keeps it as it was."""

ANDROID = "Detector.kt"
"""The program for Android, as a file of the shipping folder."""

_READING = '''\
reading, classes = how["answer"], how["classes"]


def objects(answers, height, width):
    """Rows of corners in pixels of what the model reads, score and class, the surest first."""
    found = []
    for logits, sides in zip(answers[::2], answers[1::2], strict=True):  # of each level
        stride = height / logits.shape[1]
        kind, y, x = np.nonzero(logits >= -np.log(1 / reading["score_threshold"] - 1))
        score = 1 / (1 + np.exp(-logits[kind, y, x].astype(float)))
        far = sides.reshape(4, -1, *sides.shape[1:])[:, :, y, x].astype(float)  # left, upper, right, lower
        if far.shape[1] == 1:
            far = np.logaddexp(0, far[:, 0])
        else:  # the mean of a distribution
            weights = np.exp(far - far.max(axis=1, keepdims=True))
            far = np.einsum("sbn,b->sn", weights, np.arange(far.shape[1])) / weights.sum(axis=1)
        left, upper, right, lower = far * stride
        x, y = (x + 0.5) * stride, (y + 0.5) * stride
        found.append(np.stack([x - left, y - upper, x + right, y + lower, score, kind], axis=1))
    found = np.concatenate(found)
    found[:, :4] = found[:, :4].clip(0, (width, height, width, height))
    kept = []
    for row in found[np.argsort(-found[:, 4], kind="stable")]:
        if all(row[5] != other[5] or iou(row, other) <= reading["nms_iou"] for other in kept):
            kept.append(row)
    return np.array(kept[: reading["most_objects"]]).reshape(-1, 6)


def iou(one, other):
    """Intersection over union."""
    both = np.prod((np.minimum(one[2:4], other[2:4]) - np.maximum(one[:2], other[:2])).clip(min=0))
    return both / max(1e-9, np.prod(one[2:4] - one[:2]) + np.prod(other[2:4] - other[:2]) - both)


'''

_PRINTING = """\
pen = ImageDraw.Draw(shown)
for row in objects(answers, size[1], size[0]):
    box = row[:4] * np.tile((shown.width / size[0], shown.height / size[1]), 2)
    what = classes[int(row[5])]
    print(f"{row[4]:6.1%}  {what['name']}  {' '.join(f'{value:.0f}' for value in box)}")
    pen.rectangle(tuple(box), outline=tuple(what["colour"]), width=3)
    pen.text((box[0] + 4, box[1] + 2), what["name"], fill=tuple(what["colour"]))
shown.save(f"{Path(sys.argv[1]).stem}.objects.png")
"""


def detection_example() -> Example:
    """Draws boxes on the picture beside where it is run, and prints class, score and corners of each."""
    reading = f"from PIL import ImageDraw\n\n{_READING}"
    return Example(reading, _PRINTING, STRETCHING, android.programs(ANDROID))
