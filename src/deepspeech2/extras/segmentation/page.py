"""A page to look through the segments of a corpus; nothing in it runs or comes from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deepspeech2.escaping import page_template

PAGE = "index.html"
_MOST = 5000  # segments: of more a browser is slow


def render(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """Return the page; the worst segments come first, and the rest of too many is left out.

    Args:
        rows: of :data:`~.corpus.SEGMENTS`; sounds are named relatively to the page.
    """
    order = sorted(rows, key=lambda row: (row["score"], row["id"]))
    hours = sum(row["duration"] for row in rows if row["kept"]) / 3600
    return page_template(
        Path(__file__).with_name("segments.html"), clock=clock, address=quote
    ).render(title=title, rows=order[:_MOST], total=len(rows), hours=hours)


def clock(seconds: float) -> str:
    """``1:02:03``"""
    return str(timedelta(seconds=round(seconds)))
