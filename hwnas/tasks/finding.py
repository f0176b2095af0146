"""How objects are read of answers, in the programs that ship: numpy alone, and Kotlin."""

from __future__ import annotations

from hwnas.tasks import android
from hwnas.tasks.base import STRETCHING, Example

ANDROID = "Detector.kt"
"""The program for Android, as a file of the shipping folder."""

_READING = '''\
reading, classes = how["answer"], how["classes"]


def read(answers, width, height):
    """Rows of corners in pixels of the picture, score and class, the surest first."""
    found = []
    for logits, sides in zip(answers[::2], answers[1::2], strict=True):  # of each level
        stride = size[1] / logits.shape[1]
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
    found[:, :4] = found[:, :4].clip(0, size * 2)
    kept, left = [], found[np.argsort(-found[:, 4], kind="stable")]
    while len(left) and len(kept) < reading["most_objects"]:
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[(left[:, 5] != best[5]) | (ious(best, left) <= reading["nms_iou"])]
    kept = np.array(kept).reshape(-1, 6)
    kept[:, :4] *= (width / size[0], height / size[1]) * 2
    return kept


def ious(box, boxes):
    """Intersection over union of a box with others."""
    inner = np.minimum(box[2:4], boxes[:, 2:4]) - np.maximum(box[:2], boxes[:, :2])
    both, own = inner.clip(min=0).prod(axis=1), (box[2:4] - box[:2]).prod()
    return both / np.maximum(1e-9, own + (boxes[:, 2:4] - boxes[:, :2]).prod(axis=1) - both)


def show(found, picture, name):
    """Print class, score and corners of each object; draw them beside where this is run."""
    pen = ImageDraw.Draw(picture)
    for row in found:
        what = classes[int(row[5])]
        print(f"{row[4]:6.1%}  {what['name']}  {' '.join(f'{value:.0f}' for value in row[:4])}")
        pen.rectangle(tuple(row[:4]), outline=tuple(what["colour"]), width=3)
        pen.text((row[0] + 4, row[1] + 2), what["name"], fill=tuple(what["colour"]))
    picture.save(f"{Path(name).stem}.objects.png")
'''


def detection_example() -> Example:
    """Draws boxes on the picture beside where it is run, and prints class, score and corners of each."""
    return Example(f"from PIL import ImageDraw\n\n\n{STRETCHING}{_READING}", android.programs(ANDROID))
