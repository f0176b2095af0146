"""Where a page of the documentation is: the one place that knows its address."""

from __future__ import annotations

from importlib import metadata

_LABEL = "documentation"


def address(page: str) -> str:
    """Where to read on.

    Args:
        page: A file below ``docs``, with an anchor or without.

    Returns:
        Its address on the site that the project's metadata name, under "Documentation" of ``[project.urls]``;
        without one, its path in the source.
    """
    name, hash_, anchor = page.partition("#")
    site = _site()
    return f"{site}/{name.removesuffix('.md')}/{hash_}{anchor}" if site else f"docs/{page}"


def _site() -> str:
    try:
        urls = metadata.metadata("hwnas").get_all("Project-URL") or ()
    except metadata.PackageNotFoundError:
        return ""
    named = (text.partition(",") for text in urls)
    return next((url.strip().rstrip("/") for label, _, url in named if label.strip().lower() == _LABEL), "")
