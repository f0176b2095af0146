"""Labelled images for search and training: embedded sets, image folders, parquet, npz.

Images are held in memory as uint8 arrays of shape (n, channels, height, width). Every source
is split once, by seed, into train, validation and test, as far as it does not bring them itself:
the search chooses by validation, the test split is looked at once, at the end.
"""

from __future__ import annotations

from hwnas.data.dataset import Dataset, Split
from hwnas.data.embedded import is_embedded
from hwnas.data.further import held_back, load_test
from hwnas.data.loading import load
from hwnas.data.tree import files_of

__all__ = ["Dataset", "Split", "files_of", "held_back", "is_embedded", "load", "load_test"]
