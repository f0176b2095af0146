"""Draws pictures of discs, squares, triangles and stars, to try segmentation and detection without pictures.

    python examples/draw_objects.py drawn 300
    hwnas train runs/boxes --from efficientnet-lite0 --task detection --data drawn/boxes --resolution 128
    hwnas train runs/masks --from efficientnet-lite0 --task segmentation --data drawn/masks --resolution 128

``drawn/boxes`` has objects as COCO boxes, ``drawn/masks`` the same pictures with one class number a pixel.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("disc", "square", "triangle", "star")
SIDE = 160
SEED = 0


def corners(kind: str, centre: np.ndarray, radius: float, turned: float) -> list[tuple[float, float]]:
    """The outline of an object, as points around its centre."""
    count = {"disc": 40, "square": 4, "triangle": 3, "star": 10}[kind]
    angles = turned + 2 * np.pi * np.arange(count) / count
    far = np.full(count, radius)
    if kind == "star":
        far[1::2] *= 0.45
    points = centre + far[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return [(float(x), float(y)) for x, y in points]


def scene(rng: np.random.Generator) -> tuple[Image.Image, Image.Image, list[tuple[int, list[float]]]]:
    """A picture, its mask, and class and box (x, y, width, height) of what can be seen of each object."""
    coarse = rng.integers(40, 200, (8, 8, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    owner = Image.new("L", (SIDE, SIDE))  # which object a pixel is of, from 1
    kinds: list[int] = []
    for number in range(1, int(rng.integers(2, 7)) + 1):
        kind = int(rng.integers(len(CLASSES)))
        outline = corners(
            CLASSES[kind], rng.uniform(8, SIDE - 8, 2), rng.uniform(10, 30), rng.uniform(0, 2 * np.pi)
        )
        ImageDraw.Draw(picture).polygon(outline, fill=tuple(rng.integers(0, 256, 3).tolist()))
        ImageDraw.Draw(owner).polygon(outline, fill=number)
        kinds.append(kind)
    noise = rng.normal(0, 12, (SIDE, SIDE, 3))
    pixels = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
    owners = np.asarray(owner)
    mask = np.concatenate([[0], np.array(kinds) + 1])[owners].astype(np.uint8)
    boxes: list[tuple[int, list[float]]] = []
    for number, kind in enumerate(kinds, start=1):
        rows, columns = np.nonzero(owners == number)
        if len(rows) > 60:  # enough of it to know what it is
            low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
            boxes.append((kind, [float(v) for v in (*low, high[0] - low[0], high[1] - low[1])]))
    return Image.fromarray(pixels), Image.fromarray(mask), boxes


def main(folder: Path, count: int) -> None:
    """Write both folders."""
    for name in ("boxes/images", "masks/images", "masks/masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    images, annotations = list[dict[str, object]](), list[dict[str, object]]()
    for number in range(count):
        picture, mask, boxes = scene(rng)
        name = f"{number:04d}.png"
        picture.save(folder / "boxes/images" / name)
        picture.save(folder / "masks/images" / name)
        mask.save(folder / "masks/masks" / name)
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
        for kind, box in boxes:
            about = {"id": len(annotations), "image_id": number, "category_id": kind, "bbox": box}
            annotations.append({**about, "area": box[2] * box[3], "iscrowd": 0})
    categories = [{"id": kind, "name": name} for kind, name in enumerate(CLASSES)]
    found = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "boxes/annotations.json").write_text(json.dumps(found), "utf-8")
    (folder / "masks/classes.txt").write_text("\n".join(("ground", *CLASSES)) + "\n", "utf-8")
    print(f"{count} pictures of {', '.join(CLASSES)} in {folder}/boxes and {folder}/masks")


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[2].isdecimal():
        sys.exit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]))
