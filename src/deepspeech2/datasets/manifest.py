"""Read utterances from a manifest, one JSON object a line."""

from __future__ import annotations

import json
import math
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from deepspeech2.audio.reading import AudioInfo, probe_all
from deepspeech2.datasets.corpus import (
    MOST_NAMED,
    Corpus,
    Exclusion,
    audio_fault,
    plain_ids,
    select,
)
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.fields import AUDIO, SPEAKER, TEXT, find, listed
from deepspeech2.paths import resolve
from deepspeech2.types import Utterance


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a manifest, checked; ``audio`` as written, the rest None where absent."""

    audio: PurePath
    duration: float | None
    text: str | None
    offset: float
    speaker: str | None
    id: str | None


class ManifestCorpus(Corpus):
    """The utterances of a JSON-lines manifest, in its order.

    Each line has ``audio_filepath`` (relative to the manifest) and may have ``duration`` and
    ``offset`` (seconds), ``text``, ``speaker`` and ``id``. Other names of the recording, the text
    and the speaker are accepted, see :mod:`deepspeech2.fields`. A missing duration is read from the
    recording, which is not opened otherwise. Further keys are ignored. A line that is wrong is
    left out, and is one of ``exclusions``.

    Args:
        manifest: the file; a relative path counts from ``data_dir`` if that is given,
            otherwise from the repository's root.
        data_dir: a folder; a relative path counts from the repository's root.
        hours, limit, max_audio_length, max_text_length: what to keep; see
            :func:`~deepspeech2.datasets.corpus.select`.
        name: of the corpus; by default the manifest's name without its ending.
        speakers: take only these.
        exclude_speakers: take all but these.

    Raises:
        ConfigError: an option is not positive, there are fewer hours, or a speaker does not occur.
        ManifestError: the manifest is missing, more than half of its lines are wrong, or no
            utterance is left.
    """

    def __init__(
        self,
        manifest: str | Path,
        data_dir: str | Path | None = None,
        *,
        hours: float | None = None,
        limit: int | None = None,
        max_audio_length: float | None = None,
        max_text_length: int | None = None,
        name: str | None = None,
        speakers: Sequence[str] | None = None,
        exclude_speakers: Sequence[str] | None = None,
    ) -> None:
        path = resolve(manifest) if data_dir is None else resolve(data_dir) / manifest
        lines, faults = _read(path)
        lines = _by_speaker(lines, path, speakers, exclude_speakers)
        utterances, exclusions = _utterances(lines, path.parent)
        kept, filtered = select(utterances, hours, limit, max_audio_length, max_text_length)
        super().__init__(
            path.stem if name is None else name, kept, (*faults, *exclusions, *filtered), place=path
        )


def _read(path: Path) -> tuple[list[_Line], list[Exclusion]]:
    """Read the lines of a manifest; return those that are right, and the others.

    Raises:
        ManifestError: there is no manifest, or more than half of it is wrong; names every fault.
    """
    try:
        content = path.read_bytes().removeprefix(BOM_UTF8)  # editors on Windows prepend it
    except FileNotFoundError as error:
        raise ManifestError(f"{path} does not exist: check manifest and data_dir") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    lines: list[_Line] = []
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            try:
                lines.append(_parse(_decoded(line), path.parent))
            except ValueError as error:
                faults.append((number, str(error)))
    if len(faults) > len(lines):
        named = [f"line {number}: {reason}" for number, reason in faults[:MOST_NAMED]]
        if len(faults) > MOST_NAMED:
            named.append(f"and {len(faults) - MOST_NAMED} more")
        if len(faults) > 1 and len({reason for _, reason in faults}) == 1:
            named = [f"each: {faults[0][1]}"]
        raise ManifestError(
            f"{path} is no manifest: {len(faults)} of {len(faults) + len(lines)} lines are wrong"
            f" ({'; '.join(named)})"
        )
    return lines, [Exclusion(f"{path.name}, line {number}", reason) for number, reason in faults]


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from error


def _by_speaker(
    lines: list[_Line],
    path: Path,
    speakers: Sequence[str] | None,
    exclude_speakers: Sequence[str] | None,
) -> list[_Line]:
    """Keep the lines of the speakers that are wanted; the rest belongs to another part."""
    known = {line.speaker for line in lines}
    for name in (*(speakers or ()), *(exclude_speakers or ())):
        if name not in known:
            raise ConfigError(f"speaker {name!r} does not occur in {path}")
    wanted = known if speakers is None else set(speakers)
    wanted = wanted - set(exclude_speakers or ())
    return [line for line in lines if line.speaker in wanted]


def _parse(line: str, folder: Path) -> _Line:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at column {error.colno})") from error
    if not isinstance(row, dict):
        raise ValueError(f"must be an object, but is {line.strip()[:40]}")
    # in a data set of Hugging Face, audio may be decoded sound beside its file
    keys = [key for key in row if not (key == "audio" and isinstance(row[key], dict))]
    key = find(keys, AUDIO)
    if key is None:
        raise ValueError(
            f"has no audio_filepath, nor {', '.join(AUDIO[1:])}: its keys are {listed(row)}"
        )
    audio = row[key]
    if not isinstance(audio, str) or not audio:
        raise ValueError(f"{key} must be a path, but is {json.dumps(audio)}")
    duration = _seconds(row, "duration")
    if duration is not None and duration <= 0:
        raise ValueError(f"duration must be positive, but is {duration:g}")
    offset = _seconds(row, "offset") or 0.0
    if offset < 0:
        raise ValueError(f"offset must not be negative, but is {offset:g}")
    key = find(row, TEXT) or "text"
    text = row.get(key)
    if text is not None and not isinstance(text, str):
        raise ValueError(f"{key} must be a string, but is {json.dumps(text)}")
    speaker = _label(row, find(row, SPEAKER) or "speaker")
    return _Line(_place(audio, folder), duration, text, offset, speaker, _label(row, "id"))


def _place(audio: str, folder: Path) -> PurePath:
    """Return the path as written, or with Windows' backslashes replaced if only that exists."""
    if "\\" not in audio:
        return PurePath(audio)
    for path in (PurePath(audio), PurePath(audio.replace("\\", "/"))):
        if (folder / path).exists():
            return path
    raise ValueError(
        f"audio_filepath {audio} does not exist, neither as it is nor with / for each backslash:"
        " write paths relative to the manifest"
    )


def _seconds(row: dict[str, Any], key: str) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} must be a number of seconds, but is {json.dumps(value)}")
    return float(value)


def _label(row: dict[str, Any], key: str) -> str | None:
    """Read a name, which may be written as a number."""
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"{key} must be a string, but is {json.dumps(value)}")
    return str(value)


def _utterances(lines: Sequence[_Line], folder: Path) -> tuple[list[Utterance], list[Exclusion]]:
    """Fill in ids and durations, and leave out lines whose recording is missing or broken."""
    ids = plain_ids([(line.id or line.audio.stem, line.audio) for line in lines])
    unknown = list(dict.fromkeys(folder / line.audio for line in lines if line.duration is None))
    infos = dict(zip(unknown, probe_all(unknown), strict=True)) if unknown else {}
    utterances: list[Utterance] = []
    exclusions: list[Exclusion] = []
    for id_, line in zip(ids, lines, strict=True):
        audio = folder / line.audio
        item = Utterance(id_, audio, 0.0, line.text, offset=line.offset, speaker=line.speaker)
        duration = line.duration
        if duration is None:
            info = infos[audio]
            if not isinstance(info, AudioInfo):
                there = replace(item, duration=max(0.0, info.seconds - line.offset))
                exclusions.append(Exclusion(str(line.audio), audio_fault(info, audio), there))
                continue
            duration = info.duration - line.offset
            if duration <= 0:
                reason = f"ends before the offset {line.offset:g} s"
                exclusions.append(Exclusion(str(line.audio), reason, item))
                continue
        utterances.append(replace(item, duration=duration))
    return utterances, exclusions
