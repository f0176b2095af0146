"""Times as people say them."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """About how long, in the unit that fits: ``45 s``, ``3 min``, ``2.5 h``, ``3 days``."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"
