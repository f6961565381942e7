"""What the documentation tells people to type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = (
    "python", "python3", ".venv/bin/python", "pip", "make", "torchrun", "sbatch", "curl", "xz",
)  # fmt: skip
LANGUAGES = {"bash", "python", "json", "yaml", "text", "toctree"}  # of fences; text is not run
TOLD = ("docs/tutorial.md", "docs/how-to/extend.md")
"""Run from beginning to end; elsewhere each section stands alone."""

_FENCE = re.compile(r"^(```+|~~~+) *(\S*)[^\n]*\n(.*?)^\1 *$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class Section:
    """A part of a document between two headings.

    Attributes:
        blocks: its fenced blocks, each with its language, in order.
        spans: commands in the running text that no block, and no longer one of them, contains.
    """

    document: str
    title: str
    blocks: tuple[tuple[str, str], ...]
    spans: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.document}: {self.title}"


def documents(root: Path = ROOT) -> list[Path]:
    """Every page that people read, those that programs write left aside."""
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    pages += [root / "models/README.md", root / "benchmarks/README.md"]
    return [page for page in pages if "_build" not in page.parts]


def sections(page: Path, root: Path = ROOT) -> list[Section]:
    """The sections of a page that hold something to run."""
    text = page.read_text(encoding="utf-8")
    found = []
    name = page.relative_to(root).as_posix()
    parts = [text] if name in TOLD else re.split(r"^(?=##+ )", text, flags=re.MULTILINE)
    for part in parts:
        title = part.splitlines()[0].lstrip("# ").strip() if part.strip() else ""
        blocks = tuple((match[2], match[3]) for match in _FENCE.finditer(part))
        typed = "\n".join(" ".join(body.split()) for _, body in blocks)
        plain = _COMMENT.sub("", _FENCE.sub("", part))
        spans = dict.fromkeys(" ".join(match[1].split()) for match in _SPAN.finditer(plain))
        longer = [part for span in spans for part in span.split(" && ") if part != span]
        missed = tuple(
            span for span in spans if is_command(span) and span not in typed and span not in longer
        )
        section = Section(name, title, blocks, missed)
        if missed or any(kind.strip("{}") in ("bash", "python") for kind, _ in blocks):
            found.append(section)
    return found


def is_command(text: str) -> bool:
    """Whether a line is something to type: a program and at least one word."""
    program, _, rest = text.strip().partition(" ")
    return program in PROGRAMS and bool(rest.strip())
