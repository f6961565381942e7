"""The page of a preview, and the folder that it is written to with its audio and pictures."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from deepspeech2.errors import ConfigError
from deepspeech2.escaping import page_template
from deepspeech2.extras.checks.corpus_check import REMEDIES
from deepspeech2.extras.checks.preview.examples import AS_RECORDED, Example
from deepspeech2.extras.checks.preview.statistics import CorpusStatistics
from deepspeech2.files import safe_name, whole_folder, write_whole
from deepspeech2.paths import move_aside

PAGE = "index.html"
MARK = '<meta name="generator" content="scripts/preview.py">'
"""Distinguishes a page of ours from those of others, whose folders are left alone."""

_HEAD = 400  # bytes of a page that contain the mark
_MOST_NAMES = 200  # of utterances left out for one reason
_TIGHTEST = 8  # utterances


class _Character(NamedTuple):
    character: str
    occurrences: int
    outside: bool  # the alphabet


def render(
    title: str,
    command: str,
    corpora: Sequence[CorpusStatistics],
    unknown: set[str],
    examples: Sequence[Example],
    charts: Mapping[str, bytes],
) -> str:
    """Return the page: one file without scripts, which needs no server and no network.

    Args:
        command: that made it.
        corpora: train first.
        unknown: characters that the alphabet lacks.
        charts: PNG by name.
    """
    train = corpora[0]
    facts = [each.facts() for each in corpora]
    labels = dict.fromkeys(label for each in facts for label in each)
    return _template().render(
        title=title,
        command=command,
        corpora=corpora,
        train=train,
        facts={label: [each.get(label, "") for each in facts] for label in labels},
        tightest=train.tightest(_TIGHTEST),
        unknown=unknown,
        characters=_characters(corpora, unknown),
        examples=examples,
        charts=charts,
        remedies=REMEDIES,
        most_names=_MOST_NAMES,
        mark=MARK,
        style=Path(__file__).with_name("page.css").read_text("utf-8"),
    )


def _template() -> jinja2.Template:
    return page_template(
        Path(__file__).with_name("preview.html"),
        base64=lambda content: base64.b64encode(content).decode("ascii"),
        thousands="{:,}".format,
    )


def _characters(corpora: Sequence[CorpusStatistics], unknown: set[str]) -> list[_Character]:
    """Those of train and any that the alphabet lacks, which come first."""
    counts = dict(corpora[0].characters)
    for each in corpora[1:]:
        for character in unknown & each.characters.keys():
            counts.setdefault(character, each.characters[character])
    characters = [_Character(each, counts[each], each in unknown) for each in counts]
    return sorted(characters, key=lambda each: (not each.outside, -each.occurrences))


def check_folder(folder: Path) -> None:
    """Check that a preview can be written to ``folder``.

    Raises:
        ConfigError: it contains something other than an earlier preview.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    page = folder / PAGE
    ours = page.is_file() and MARK.encode() in page.read_bytes()[:_HEAD]
    if folder.exists() and not ours:
        raise ConfigError(
            f"{folder} contains other files: choose another folder as +preview.save_path=PATH"
        )


def write(
    folder: Path,
    page: str,
    examples: Sequence[Example],
    charts: Mapping[str, bytes],
    numbers: Mapping[str, Any],
) -> None:
    """Write all of it or nothing, in the place of an earlier preview; other files stay.

    The earlier one is renamed until the new one is complete, and for good if this process is
    killed.
    """
    with whole_folder(folder) as fresh:
        _write_examples(fresh, examples)
        for name, content in charts.items():
            (fresh / "pictures" / f"{name}.png").write_bytes(content)
        write_whole(fresh / "numbers.json", json.dumps(numbers, ensure_ascii=False, indent=1))
        write_whole(fresh / PAGE, page)
        before = move_aside(folder)
    if before is not None:
        for path in before.iterdir():
            if not (folder / path.name).exists():
                path.rename(folder / path.name)
        shutil.rmtree(before)


def _write_examples(folder: Path, examples: Sequence[Example]) -> None:
    audio, pictures = folder / "audio", folder / "pictures"
    audio.mkdir()
    pictures.mkdir()
    for example in examples:
        for number, panel in enumerate(example.panels, start=1):
            stem = f"{example.utterance.id}-{number}-{panel.title}"
            (pictures / f"{_file_name(stem)}.png").write_bytes(panel.picture)
            for clip in panel.clips:
                if clip.audio is not None:
                    first = clip.label == AS_RECORDED  # the same for every augmentation
                    start = example.utterance.id if first else stem
                    (audio / f"{_file_name(f'{start}-{clip.label}')}.flac").write_bytes(clip.audio)


def _file_name(text: str) -> str:
    return safe_name(text.replace(" ", "-"))
