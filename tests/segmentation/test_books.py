"""Books and pages as texts: what is read aloud of them, and what is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from deepspeech2.errors import ManifestError
from deepspeech2.extras.segmentation import books
from deepspeech2.extras.segmentation.books import page_text
from deepspeech2.extras.segmentation.text import read_text

CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="OEBPS/book.opf"'
    ' media-type="application/oebps-package+xml"/></rootfiles></container>'
)
ITEM = '<opf:item id="{0}" href="{1}" media-type="application/xhtml+xml" {2}/>'
PACKAGE = (
    '<opf:package xmlns:opf="http://www.idpf.org/2007/opf"><opf:manifest>{items}</opf:manifest>'
    "<opf:spine>{spine}</opf:spine></opf:package>"
)
PAGE = "<html><head><title>Title</title></head><body>{}</body></html>"
ENCRYPTION = (
    '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
    '<enc:CipherReference URI="OEBPS/{}"/></enc:EncryptedData></encryption>'
)


def write_book(path: Path, chapters: dict[str, str], *more: tuple[str, str], **kinds: str) -> Path:
    """An EPUB whose spine has ``chapters`` in this order; ``kinds`` are properties."""
    names = list(chapters)
    items = "".join(
        ITEM.format(f"i{n}", name, kinds.get(f"i{n}", ""))
        for n, name in reversed(list(enumerate(names)))
    )
    spine = "".join(f'<opf:itemref idref="i{n}"/>' for n in range(len(names)))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("OEBPS/book.opf", PACKAGE.format(items=items, spine=spine))
        for name, content in chapters.items():
            archive.writestr(f"OEBPS/{name.replace('%20', ' ')}", PAGE.format(content))
        for name, content in more:
            archive.writestr(name, content)
    return path


def words(path: Path) -> str:
    return " ".join(read_text(path)[0].split())


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>It was<br>late.</p><p>He</p>", "It was late. He"),
        ('<p><span class="drop">O</span>nce &amp; <i>more</i>&mdash;so</p>', "Once & more—so"),
        ("a<script>var b = '<p>c</p>';</script><style>p {}</style> d", "a d"),
        ("<nav><ol><li>One<ol><li>Two</li></ol></li></ol></nav><p>text", "text"),
        ('end<sup><a href="#n1">1</a></sup>. <a href="#n2">[2]</a> 3<sup>rd</sup>', "end. 3rd"),
        ('see <a href="#c2">chapter two</a> there', "see chapter two there"),
        ('a<a epub:type="noteref" href="#n">*</a><aside epub:type="footnote">no</aside> b', "a b"),
        ('a <div hidden><div>x</div>y</div>b <span class="pagenum">[Pg 7]</span>c', "a b c"),
        ('<p>a<sup>2<p>b <a href="#x">c', "a b c"),
        ("a<script/> b<title/>c", "a b c"),
        ("a <!-- b --> <![CDATA[c]]> d < e", "a d < e"),
    ],
)
def test_a_page(page: str, expected: str) -> None:
    assert " ".join(page_text(page).split()) == expected


def test_a_book_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    chapters = {
        "z.xhtml": "<p>one",
        "nav.xhtml": "<p>contents",
        "b%20c.xhtml": "<p>two",
        "a.xhtml": "three",
    }
    path = write_book(tmp_path / "a.epub", chapters, i1='properties="nav"')
    assert words(path) == "one two three"


START = "*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***"
END = "*** END OF THE PROJECT GUTENBERG EBOOK EMMA ***"


@pytest.mark.parametrize("name", ["a.txt", "a.html", "a.epub"])
def test_the_licence_is_left_out_where_it_is_marked(tmp_path: Path, name: str) -> None:
    for content in (f"<p>by law</p>{START}<p>text</p>{END}<p>licence</p>", "<p>text</p>"):
        path = tmp_path / name
        if name == "a.epub":
            write_book(path, {"a.xhtml": content})
        else:
            plain = content.replace("<p>", "\n").replace("</p>", "\n")
            path.write_text(plain if name == "a.txt" else content, encoding="utf-8")
        assert words(path) == "text"


def test_the_encoding_that_a_page_declares(tmp_path: Path) -> None:
    page = '<meta charset="iso-8859-1"><p>café'
    (tmp_path / "a.html").write_bytes(page.encode("latin-1"))
    assert words(tmp_path / "a.html") == "café"
    (tmp_path / "a.html").write_bytes(page.replace("iso-8859-1", "zlib").encode("latin-1"))
    with pytest.raises(ManifestError, match="is not UTF-8"):
        read_text(tmp_path / "a.html")


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "MOST", 2**20)
    path = write_book(tmp_path / "a.epub", {f"{n}.xhtml": "a " * 2**18 for n in range(3)})
    assert path.stat().st_size < 2**14
    with pytest.raises(ManifestError, match="more than 1 MiB of text"):
        read_text(path)


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "c c"><!ENTITY d "&b;&b;"><!ENTITY e SYSTEM "file:///etc/passwd">]>'
    path = write_book(tmp_path / "a.epub", {"a.xhtml": "<p>&d; &e;"}, ("OEBPS/x.xml", bomb))
    assert words(path) == "&d; &e;"


@pytest.mark.parametrize(
    "address",
    ["../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://host/a", "..\\a"],
)
def test_a_place_outside_of_the_book_is_refused(tmp_path: Path, address: str) -> None:
    path = write_book(tmp_path / "a.epub", {"a.xhtml": "one", address: "two"})
    with pytest.raises(ManifestError, match="outside of itself"):
        read_text(path)


def test_an_encrypted_book_is_refused_and_one_with_encrypted_fonts_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.epub"
    for name, locked in (("a.xhtml", True), ("font.otf", False)):
        encryption = ("META-INF/encryption.xml", ENCRYPTION.format(name))
        write_book(path, {"a.xhtml": "one"}, encryption)
        if locked:
            with pytest.raises(ManifestError, match="encrypted"):
                read_text(path)
        else:
            assert words(path) == "one"


def test_what_is_broken_is_one_sentence(tmp_path: Path) -> None:
    path = write_book(tmp_path / "a.epub", {"a.xhtml": "one " * 99, "b.xhtml": "two"})
    content = path.read_bytes()
    marked = content.index(b"OEBPS/a.xhtml") + 20
    damaged = {
        "cut": content[: len(content) // 2],
        "text": b"no archive",
        "empty": b"",
        "bytes": content[:marked] + bytes(9) + content[marked + 9 :],
        "missing": content.replace(b"OEBPS/book.opf", b"OEBPS/boo2.opf"),
        "kind": content.replace(b"\x08\x00", b"\x63\x00"),
        "password": _with_password(content),
    }
    for name, changed in damaged.items():
        path.write_bytes(changed)
        with pytest.raises(ManifestError, match=r"damaged or no EPUB|encrypted") as caught:
            read_text(path)
        assert ("encrypted" in str(caught.value)) == (name == "password"), name


def _with_password(content: bytes) -> bytes:
    """The flag of encryption set in all headers of an archive."""
    for header, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        parts = content.split(header)
        at = place - len(header)
        content = header.join(
            [parts[0]] + [part[:at] + bytes([part[at] | 1]) + part[at + 1 :] for part in parts[1:]]
        )
    return content
