"""Handwritten digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from hwnas.data.images import Account, Images
from hwnas.data.pixels import Picture


def digits(resolution: int) -> Images:
    """1,797 handwritten digits of 8x8 pixels, scaled up; 3 equal channels."""
    from PIL import Image
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    pictures = ((Picture(Image.fromarray(image).convert("RGB")), str(row)) for row, image in enumerate(grey))
    account = Account()
    images = account.stack("train", pictures, len(grey), resolution)
    names = tuple(str(n) for n in bunch.target_names)
    return Images(names, (images, bunch.target.astype(np.int64)), None, False, account=account)
