"""How answers about places of a picture are read, in the programs that ship: numpy alone, and Kotlin."""

from __future__ import annotations

from hwnas.tasks import android
from hwnas.tasks.base import Example

STRETCHING = (
    "width, height = picture.size  # of the mask, later\n"
    'picture = picture.convert("RGB").resize(size, Image.Resampling.BILINEAR)\n'
)
"""Stretches a picture to a size, and keeps its own."""

ANDROID = "Segmenter.kt"
"""The program for Android, as a file of the shipping folder."""

_READING = '''\
classes = how["classes"]


def resized(values, height, width):
    """Bilinear, with half-pixel centres."""
    for side in (height, width):
        at = np.clip((np.arange(side) + 0.5) * len(values) / side - 0.5, 0, len(values) - 1)
        low = at.astype(int)
        high = np.minimum(low + 1, len(values) - 1)
        share = (at - low)[:, np.newaxis]
        values = (values[low] * (1 - share) + values[high] * share).T
    return values


'''

_PRINTING = """\
mask = np.zeros((height, width), np.uint8)
best = np.full((height, width), -np.inf)
for index, logits in enumerate(answers):  # one class after the other, for the sake of memory
    seen = resized(logits, height, width)
    mask[seen > best] = index
    best = np.maximum(best, seen)
drawn = Image.fromarray(mask)
drawn.putpalette(bytes(value for each in classes for value in each["colour"]))
written = f"{Path(sys.argv[1]).stem}.mask.png"
drawn.save(written)
print(f"mask in {written}")
shares = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
for index in np.argsort(-shares, kind="stable"):
    if shares[index]:
        print(f"{shares[index]:6.1%}  {classes[index]['name']}")
"""


def segmentation_example() -> Example:
    """Writes a mask of the picture's own size where it is run; prints its name and the classes' shares."""
    return Example(_READING, _PRINTING, STRETCHING, android.programs(ANDROID))
