"""Networks are adapted to few images: how well they learn is not what these tests are about."""

from __future__ import annotations

from pathlib import Path

import pytest
from shipping_helpers import with_few_images


@pytest.fixture
def exported_run(exported_run: Path, few_digits: Path) -> Path:
    """The run that tests share, with the images that it is to be adapted to."""
    return with_few_images(exported_run, few_digits)
