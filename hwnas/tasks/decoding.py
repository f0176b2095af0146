"""How answers about places of a picture are read, in the programs that ship: numpy alone, and Kotlin."""

from __future__ import annotations

from hwnas.tasks import android
from hwnas.tasks.base import STRETCHING, Example

ANDROID = "Segmenter.kt"
"""The program for Android, as a file of the shipping folder."""

_READING = '''\
classes, shown = how["classes"], []


def read(answers, width, height):
    """The class of every pixel, of the largest of the logits that are resized to it."""
    down, across = resizing(answers.shape[1], height), resizing(answers.shape[2], width).T
    best, mask = down @ answers[0] @ across, np.zeros((height, width), np.uint8)
    for index, logits in enumerate(answers[1:], 1):  # one class after the other, for the sake of memory
        seen = down @ logits @ across
        mask[seen > best] = index
        np.maximum(best, seen, out=best)
    return mask


def resizing(count, side):
    """The matrix that makes so many values of a row, bilinear with half-pixel centres."""
    at = np.clip((np.arange(side) + 0.5) * count / side - 0.5, 0, count - 1)
    return np.maximum(1 - np.abs(at[:, np.newaxis] - np.arange(count)), 0).astype(np.float32)


def show(mask, picture, name):
    """Write the mask in the colours of the classes; print where, and which share of it each has."""
    stem = Path(name).stem
    shown.append(stem)  # pictures of two folders may have one name
    number = shown.count(stem)
    drawn = Image.fromarray(mask)
    drawn.putpalette(bytes(value for each in classes for value in each["colour"]))
    written = f"{stem}.mask.png" if number == 1 else f"{stem}-{number}.mask.png"
    drawn.save(written)
    print(f"mask in {written}")
    shares = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
    for index in np.argsort(-shares, kind="stable"):
        if shares[index]:
            print(f"{shares[index]:6.1%}  {classes[index]['name']}")
'''


def segmentation_example() -> Example:
    """Writes a mask of the picture's own size where it is run; prints its name and the classes' shares."""
    return Example(f"{STRETCHING}{_READING}", android.programs(ANDROID))
