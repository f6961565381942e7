"""A preview on the disk: audio, pictures, numbers, and one page that holds them all."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile
from torch import Tensor

from deepspeech2.errors import ConfigError
from deepspeech2.extras.checks.preview.steps import Step, Version
from deepspeech2.files import safe_name, whole_folder, write_whole
from deepspeech2.paths import move_aside
from deepspeech2.types import Utterance

PAGE = "index.html"
MARK = '<meta name="generator" content="scripts/preview.py">'
"""Tells a page of ours from those of others, whose folders are left alone."""

_HEAD = 400  # bytes of a page within which the mark stands
AS_RECORDED = "as recorded"


@dataclass(frozen=True, slots=True)
class Clip:
    """One version of an utterance that can be played: a file's name and content.

    Attributes:
        label: what it is.
        audio: FLAC; None where only features change.
        note: what can be measured of it.
    """

    label: str
    audio: bytes | None
    note: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What one augmentation makes of one utterance.

    Attributes:
        title, detail: which, and with which arguments and how often.
        clips: the utterance as recorded, and draws.
        picture: their spectrograms, PNG.
        unchanged: whether no draw changed anything.
    """

    title: str
    detail: str
    clips: Sequence[Clip]
    picture: bytes
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """An utterance and all that is done to it."""

    utterance: Utterance
    shown: list[Shown] = field(default_factory=list)


def clip(label: str, version: Version, sample_rate: int, before: Version) -> Clip:
    """A version as it is written and played; ``before`` is the utterance as recorded."""
    if version.waveform is None:
        share = float((version.features != before.features).float().mean())
        return Clip(label, None, f"{100 * share:.0f} % of the features masked")
    seconds = len(version.waveform) / sample_rate
    level = float(version.waveform.square().mean().clamp_min(1e-12).log10()) * 10
    return Clip(label, _flac(version.waveform, sample_rate), f"{seconds:.2f} s, {level:.1f} dBFS")


def detail(step: Step) -> str:
    """A step's arguments, and how many utterances meet it."""
    often = "every utterance" if step.share >= 1 else f"{100 * step.share:.3g} % of the utterances"
    return f"{step.options}; {often}" if step.options else often


def claim(folder: Path) -> None:
    """See that a preview can go to ``folder``.

    Raises:
        ConfigError: it holds something else than an earlier preview.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    page = folder / PAGE
    ours = page.is_file() and MARK.encode() in page.read_bytes()[:_HEAD]
    if folder.exists() and not ours:
        raise ConfigError(
            f"{folder} holds other files: choose another folder as +preview.save_path=PATH"
        )


def write(
    folder: Path,
    page: str,
    stories: Sequence[Story],
    charts: Mapping[str, bytes],
    numbers: Mapping[str, Any],
) -> None:
    """Write all of it or nothing, in the place of an earlier preview; other files stay.

    That one stands aside until the new one is there, and for good if this process is killed.
    """
    with whole_folder(folder) as fresh:
        _write_stories(fresh, stories)
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


def _write_stories(folder: Path, stories: Sequence[Story]) -> None:
    for name in ("audio", "pictures"):
        (folder / name).mkdir()
    for story in stories:
        for number, shown in enumerate(story.shown, start=1):
            stem = f"{story.utterance.id}-{number}-{shown.title}".replace(" ", "-")
            (folder / "pictures" / f"{safe_name(stem)}.png").write_bytes(shown.picture)
            for each in shown.clips:
                if each.audio is not None:
                    first = each.label == AS_RECORDED  # the same for every augmentation
                    start = story.utterance.id if first else stem
                    name = safe_name(f"{start}-{each.label}".replace(" ", "-"))
                    (folder / "audio" / f"{name}.flac").write_bytes(each.audio)


def _flac(waveform: Tensor, sample_rate: int) -> bytes:
    """16-bit FLAC; what augmentation took beyond full scale is clipped, as a player would."""
    content = io.BytesIO()
    samples = waveform.clamp(-1, 1).numpy()
    soundfile.write(content, samples, sample_rate, format="FLAC", subtype="PCM_16")
    return content.getvalue()
