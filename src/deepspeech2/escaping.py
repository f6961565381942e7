"""Names, transcripts and messages that others wrote, made harmless where they are shown.

Everything is escaped as ``\\uXXXX``, which JSON reads back as what it was.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

# C0 and C1, line separators, and what turns the direction of the text around it
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?")
_ADDRESS = re.compile(
    r"""([A-Za-z][\w+.-]+://)(?:[^\s/?#'"]*@)?([^\s?#'"]*)(\?[^\s'"]*[^\s'":;,.)\]}])?"""
)
_FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")  # the last four are as wide as Chinese letters


def visible(text: str) -> str:
    r"""``text`` with its control characters as escapes, but for line feeds and tabs.

    >>> visible("a\x1b[2Jb\n")
    'a\\u001b[2Jb\n'
    """
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    r"""As :func:`visible`, with line feeds and tabs as escapes, too: a cell of a table, or a name.

    >>> one_line("a\nb")
    'a\\u000ab'
    """
    return visible(text).replace("\n", "\\u000a").replace("\t", "\\u0009")


def sheet_cell(text: str) -> str:
    """A text cell of CSV that no spreadsheet takes for a formula; numbers stay numbers.

    >>> sheet_cell("=1+1"), sheet_cell("-1.5"), sheet_cell("- no")
    ("'=1+1", '-1.5', "'- no")
    """
    risky = text.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(text.strip())
    return visible(f"'{text}" if risky else text)


def markdown_cell(text: str) -> str:
    """A cell of a Markdown table: no column, no row and no HTML of its own.

    >>> markdown_cell("a|b <img>")
    'a\\\\|b &lt;img>'
    """
    return one_line(" ".join(text.splitlines())).replace("|", "\\|").replace("<", "&lt;")


def fenced(text: str) -> str:
    """A code block in Markdown that ``text`` does not end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{visible(text)}\n{fence}"


def html_text(text: str) -> str:
    """``text`` for an element or an attribute of HTML."""
    return html.escape(visible(text))


def page_template(file: Path, **filters: Callable[..., Any]) -> jinja2.Template:
    """The template of a page, which escapes every value as :func:`html_text` does."""
    import jinja2  # only pages need it

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(file.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(file.name)


def printable(text: str, most: int = 200) -> str:
    """The beginning of a text with a question mark for each character that cannot be shown."""
    return "".join(each if each.isprintable() else "?" for each in text[:most])


def without_secrets(text: str) -> str:
    """``text`` with its addresses without passwords and signatures: what follows ``?`` as well.

    >>> without_secrets("see https://me:word@host/a.wav?sig=1, and s3://bucket/a")
    'see https://host/a.wav?..., and s3://bucket/a'
    """
    return _ADDRESS.sub(lambda found: found[1] + found[2] + ("?..." if found[3] else ""), text)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, printable, or its kind where it has none."""
    return printable(next(iter(str(error).strip().splitlines()), type(error).__name__))
