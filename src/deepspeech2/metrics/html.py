"""A report as one page that needs no server and nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from deepspeech2.errors import ConfigError
from deepspeech2.escaping import visible
from deepspeech2.files import write_whole
from deepspeech2.metrics.alignment import align, align_both
from deepspeech2.metrics.analysis import Row, number
from deepspeech2.metrics.outputs import as_json, told
from deepspeech2.metrics.report import Report
from deepspeech2.metrics.sound import sound
from deepspeech2.paths import ROOT

_TEMPLATE = Path(__file__).parent / "page.html"


@dataclass(frozen=True, slots=True)
class Heard:
    """Which recordings a page brings.

    Attributes:
        count: of the worst utterances, where no ``names`` are given.
        names: of utterances.
        folders: from which relative paths of recordings may count.
    """

    count: int = 20
    names: Sequence[str] = ()
    folders: Sequence[Path] = (Path(), ROOT)


def as_html(found: Report, title: str, heard: Heard | None = None, other: str = "") -> str:
    """The whole page.

    Args:
        other: what the predictions are called that were compared with.

    Raises:
        ConfigError: an utterance that shall be heard is not there.
    """
    chosen = _with_audio(found.rows, heard or Heard())
    content = {
        "title": title,
        "summary": json.loads(as_json(found)),
        "rows": [
            _row(row, chosen.get(row.name), found.other_rows.get(row.name)) for row in found.rows
        ],
        "reliability": found.reliability,
    }
    content["systems"] = [f"predictions {line}"] if (line := told(found.origin)) else []
    if found.comparison is not None and found.other_origin is not None:
        content["systems"] = [
            ", ".join(filter(None, (f"{letter}: {name}", told(origin))))
            for letter, name, origin in (
                ("A", title, found.origin),
                ("B", other, found.other_origin),
            )
        ]
        content["p"] = found.comparison.test.shown
    data = json.dumps(_shown(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # neither "</script>" nor "<!--" in a transcript may mean anything to the page that holds it
    data = data.replace("<", "\\u003c")
    return _TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/null", data)


def _shown(content: Any) -> Any:
    """``content`` whose texts show control characters, and what turns the direction of a line."""
    if isinstance(content, dict):
        return {_shown(key): _shown(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_shown(each) for each in content]
    return visible(content) if isinstance(content, str) else content


def write_html(
    found: Report, file: str, title: str, heard: Heard | None = None, other: str = ""
) -> None:
    """Write the page to ``file``; see :func:`as_html`.

    Raises:
        ConfigError: it cannot be written, or :func:`as_html`'s.
    """
    page = as_html(found, title, heard, other)
    try:
        write_whole(Path(file), page)
    except OSError as error:
        raise ConfigError(f"--html {file} cannot be written: {error.strerror}") from error


def _with_audio(rows: Sequence[Row], heard: Heard) -> dict[str, dict[str, Any]]:
    """Recordings, where there are any, of the utterances that were named or else of the worst."""
    order = sorted(rows, key=lambda row: (-row.words.errors, row.name))
    if heard.names:
        names = set(heard.names)
        unknown = names.difference(row.name for row in rows)
        if unknown:
            raise ConfigError(f"--audio names no utterance: {', '.join(sorted(unknown))}")
        order = [row for row in order if row.name in names]
    sounds = ((row.name, sound(row, heard.folders)) for row in order)
    existing = ((name, found) for name, found in sounds if found is not None)
    return dict(islice(existing, None if heard.names else heard.count))


def _row(row: Row, sound: dict[str, Any] | None, other: Row | None) -> dict[str, Any]:
    """What the page knows of an utterance, and what the other system made of it."""
    said, heard = row.reference.split(), row.hypothesis.split()
    steps: list[Any] = [[step.reference, step.hypothesis] for step in align(said, heard)]
    if other is not None:
        steps = align_both(said, heard, other.hypothesis.split())
    speaker = row.fields.get("speaker")
    given = {
        "id": row.name,
        "wer": round(row.words.rate, 4),
        "cer": round(row.characters.rate, 4),
        "errors": row.words.errors,
        "words": row.words.reference,
        "duration": number(row.fields.get("duration")),
        "speaker": None if speaker is None else str(speaker),
        "confidence": number(row.fields.get("confidence")),
        "steps": steps,
        "nbest": _nbest(row.fields.get("nbest")),
        "sound": sound,
        "other_wer": None if other is None else round(other.words.rate, 4),
        "other_errors": None if other is None else other.words.errors,
    }
    return {name: value for name, value in given.items() if value not in (None, "", [])}


def _nbest(given: object) -> list[list[Any]]:
    """(text, score) of each, as our own predictions have them; those of others are not known."""
    items = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    return [[str(each.get("pred_text") or ""), number(each.get("score"))] for each in items]
