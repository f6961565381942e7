"""The text of web pages and electronic books, without what nobody reads aloud.

Nothing of them is run, unpacked to the disk or fetched.
"""

from __future__ import annotations

import lzma
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deepspeech2.errors import ManifestError

HTML_SUFFIXES = (".html", ".htm", ".xhtml")
MOST = 2**26  # bytes of a text: 64 MiB, ten times the longest novels

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    ValueError,
)
_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html")
_EMPTY = frozenset([
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source",
    "track", "wbr",
])  # fmt: skip
_SILENT = frozenset([
    "audio", "head", "iframe", "math", "nav", "noscript", "object", "script", "style", "svg",
    "template",
])  # fmt: skip
# HTML's elements that do not interrupt a word; any other begins a new line
_INLINE = frozenset([
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font",
    "i", "ins", "kbd", "label", "mark", "q", "s", "samp", "small", "span", "strike", "strong",
    "sub", "sup", "time", "tt", "u", "var", "wbr",
])  # fmt: skip
# of EPUB's and ARIA's structural semantics
_NOTES = re.compile(
    r"(doc-)?(backlink|endnotes?|footnotes?|index|landmarks|noteref|page-?list|page-?break|"
    r"rearnotes?|toc)"
)
# of Project Gutenberg's and other books
_CLASSES = frozenset([
    "endnote", "endnotes", "fnanchor", "footnote", "footnotes", "noteref", "pageno",
    "pagenum", "pg-boilerplate",
])  # fmt: skip
_NUMBER = re.compile(r"[\s\[\](){}*†‡§\d]*")
_DECLARED = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_BEGIN = re.compile(
    r"\*\*\*\s*START OF (?:THE|THIS) PROJECT GUTENBERG.{0,300}?\*\*\*", re.IGNORECASE | re.DOTALL
)
_END = re.compile(r"\*\*\*\s*END OF (?:THE|THIS) PROJECT GUTENBERG", re.IGNORECASE)


def without_licence(text: str) -> str:
    """A book of Project Gutenberg between its markers; any other text as it is."""
    begin = _BEGIN.search(text)
    end = _END.search(text, begin.end() if begin else 0)
    return text[begin.end() if begin else 0 : end.start() if end else None]


def decoded(content: bytes, name: object, *, declares: bool = True) -> str:
    """A text in UTF-8, or in the encoding that a page ``declares``.

    Raises:
        ManifestError: it is in neither.
    """
    if declares and content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        declared = _DECLARED.search(content[:1024])
        try:
            if declares and declared is not None:
                return content.decode(declared[1].decode("ascii"))
        except (LookupError, ValueError):
            pass
        raise ManifestError(
            f"{name} is not UTF-8 (byte {error.start}): save it in that encoding"
        ) from error


def page_text(page: str) -> str:
    """What a page in HTML shows, a line for each paragraph, without navigation and footnotes."""
    shown = _Page()
    shown.feed(page)
    shown.close()
    return "".join(shown.parts)


class _Page(HTMLParser):
    """Collects text. Within ``skipped``, of which ``depth`` are open, all is left out; ``raised``
    is the text of the <sup> or link that may be the number of a footnote."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.skipped, self.depth = "", 0
        self.raised: list[str] = []
        self.raiser = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.skipped:
            self.depth += tag == self.skipped
        elif tag not in _INLINE:
            self._line()
        if self.skipped or tag in _EMPTY:
            return
        attributes = dict(attrs)
        if tag in _SILENT or _is_silent(attributes):
            self.skipped, self.depth = tag, 1
        elif not self.raiser and (tag == "sup" or "#" in (attributes.get("href") or "")):
            self.raiser = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self.skipped and tag not in _INLINE:
            self._line()

    def handle_endtag(self, tag: str) -> None:
        if self.skipped:
            self.depth -= tag == self.skipped
            if not self.depth:
                self.skipped = ""
        elif tag == self.raiser:
            self._lower()
        elif tag not in _INLINE:
            self._line()

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            (self.raised if self.raiser else self.parts).append(data)

    def close(self) -> None:
        super().close()
        self._line()

    def _line(self) -> None:
        self._lower()
        self.parts.append("\n")

    def _lower(self) -> None:
        raised, self.raised, self.raiser = "".join(self.raised), [], ""
        if not _NUMBER.fullmatch(raised):  # the number of a note is not read aloud
            self.parts.append(raised)


def _is_silent(attributes: dict[str, str | None]) -> bool:
    kinds = f"{attributes.get('epub:type') or ''} {attributes.get('role') or ''}".lower().split()
    classes = (attributes.get("class") or "").lower().split()
    return (
        "hidden" in attributes
        or any(_NOTES.fullmatch(kind) for kind in kinds)
        or not _CLASSES.isdisjoint(classes)
    )


class _Tags(HTMLParser):
    """The elements of a small XML file with their attributes, prefixes left out."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attrs}
        self.found.append((tag.rpartition(":")[2], own))

    def all(self, tag: str) -> Iterator[dict[str, str]]:
        return (attributes for name, attributes in self.found if name == tag)


def book_text(path: Path) -> str:
    """The text of a book in EPUB, in its reading order.

    Raises:
        ManifestError: it is damaged or encrypted, names a file outside of itself, or has more
            than ``MOST`` bytes of text.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return "\n".join(page_text(page) for page in _pages(archive, path))
    except _DAMAGED as error:
        raise ManifestError(
            f"{path} is damaged or no EPUB ({error}): get it again, or save its text as .txt"
        ) from error


def _pages(archive: zipfile.ZipFile, path: Path) -> Iterator[str]:
    """The documents of the spine that are to be read, in order."""
    files = _Files(archive, path)
    package = next(
        (
            each["full-path"]
            for each in _Tags(files.text(_CONTAINER)).all("rootfile")
            if "full-path" in each
        ),
        None,
    )
    if package is None:
        raise ValueError(f"{_CONTAINER} names no package")
    tags = _Tags(files.text(files.place(package)))
    items = {item.get("id", ""): item for item in tags.all("item")}
    locked = set()
    if _ENCRYPTION in archive.namelist():
        for reference in _Tags(files.text(_ENCRYPTION)).all("cipherreference"):
            locked.add(files.place(reference.get("uri", "")))
    for reference in tags.all("itemref"):
        item = items.get(reference.get("idref", ""), {})
        if (
            reference.get("linear") == "no"
            or item.get("media-type") not in _PAGES
            or "nav" in item.get("properties", "").split()
        ):
            continue
        name = files.place(item.get("href", ""), posixpath.dirname(package))
        if name in locked:
            raise ManifestError(
                f"{path} is encrypted (DRM) and cannot be read: take a copy without that"
            )
        yield files.text(name)


class _Files:
    """The texts in an archive, of which no more than ``MOST`` bytes are ever unpacked."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self.archive, self.path, self.left = archive, path, MOST

    def place(self, address: str, folder: str = "") -> str:
        """The name in the archive of what ``address`` names, as seen from ``folder``."""
        parts = urlsplit(address)
        name = posixpath.normpath(posixpath.join(folder, unquote(parts.path)))
        if parts.scheme or parts.netloc or name.startswith(("/", "..")) or "\\" in name:
            raise ManifestError(
                f"{self.path} names a file outside of itself ({address!r}) and is not read: save"
                " its text as .txt"
            )
        return name

    def text(self, name: str) -> str:
        try:
            with self.archive.open(name) as file:
                content = file.read(self.left + 1)
        except KeyError as error:
            raise ValueError(f"{name} is missing") from error
        except NotImplementedError:
            raise
        except RuntimeError as error:  # what zipfile raises where a password is needed
            raise ManifestError(
                f"{self.path} is encrypted and cannot be read: take a copy without a password"
            ) from error
        self.left -= len(content)
        if self.left < 0:
            raise ManifestError(
                f"{self.path} has more than {MOST // 2**20} MiB of text: save the part that is"
                " read as .txt"
            )
        return decoded(content, f"{name} of {self.path}")
