"""Makes the table of contents from the lists of links in docs/index.md.

So that page is plain Markdown, which reads well on a forge, and says everything once.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from sphinx.application import Sphinx

INDEX = "docs/index"
_LINK = re.compile(r"^- \[([^\]]+)\]\(([^)#]+)\.(?:md|rst)\)", re.MULTILINE)


def add(app: Sphinx, name: str, source: list[str]) -> None:
    """Append hidden toctrees to the index, one for each of its sections."""
    if name != INDEX:
        return
    for part in re.split(r"^## ", source[0], flags=re.MULTILINE)[1:]:
        pages = [f"{title} <{_absolute(link)}>" for title, link in _LINK.findall(part)]
        if pages:
            source[0] += _toctree(part.splitlines()[0], pages)


def _absolute(link: str) -> str:
    parts: list[str] = []
    for part in (PurePosixPath(INDEX).parent / link).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/" + "/".join(parts)


def _toctree(caption: str, pages: list[str]) -> str:
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", add)
    return {"parallel_read_safe": True}
