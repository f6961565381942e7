"""Read Kaldi's data folders (https://kaldi-asr.org/doc/data_prep.html)."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path, PurePath
from typing import Unpack

from deepspeech2.datasets.cells import read_words
from deepspeech2.datasets.corpus import Exclusion
from deepspeech2.datasets.index import uncollected
from deepspeech2.datasets.row_corpus import Options, RowCorpus
from deepspeech2.datasets.rows import Row, judged
from deepspeech2.http.remote import on_disk

_ARCHIVE = re.compile(r"\.ark:\d+$")
_CHANNELS = {"a": 1, "b": 2, "1": 1, "2": 2}
_KIND = "file of a Kaldi data folder"

Values = dict[str, tuple[int, str]]
"""The number of a line, and what follows its first word, by that word."""

Faults = list[tuple[str, str]]
"""Places and reasons."""


class KaldiCorpus(RowCorpus):
    """The utterances of a data folder, in the order of ``segments``, otherwise of ``wav.scp``.

    It has ``wav.scp``, and may have ``segments``, ``text`` (without it there are no transcripts),
    ``utt2spk``, and ``reco2file_and_channel``, which counts where several recordings are channels
    of one file. A recording that is a command (``sph2pipe ... |``) is never run. It is left out, as
    are wrong lines and utterances without a transcript; these are ``exclusions``.

    Args:
        data_dir: the folder; a relative path counts from the repository's root.
        audio_dir: that relative paths in ``wav.scp`` count from, itself relative to ``data_dir``:
            in Kaldi the folder of ``run.sh``. None: ``data_dir``.
        options: of every reader; see :class:`~deepspeech2.datasets.row_corpus.RowCorpus`. The
            corpus' own name is that of the folder.

    Raises:
        ConfigError: an option is out of range.
        ManifestError: ``wav.scp`` is missing, more than half of the lines of a file are wrong, or
            no utterance is left.
    """

    def __init__(
        self,
        data_dir: str | Path,
        audio_dir: str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        folder = on_disk(data_dir)
        base = folder if audio_dir is None else folder / audio_dir
        with uncollected():
            rows, left_out = _rows(folder, base)
            super().__init__(
                rows, left_out, folder=base, place=folder, default_name=folder.name, **options
            )


def _rows(folder: Path, base: Path) -> tuple[list[Row], list[Exclusion]]:
    left_out: list[Exclusion] = []
    listed = _values(folder / "wav.scp", left_out)
    recordings = _recordings(folder, base, listed, left_out)
    segments = _values(folder / "segments", left_out, optional=True)
    texts = _values(folder / "text", left_out, optional=True)
    speakers = _values(folder / "utt2spk", left_out, optional=True)
    path = folder / ("segments" if segments else "wav.scp")
    known = segments or listed
    rows: list[Row] = []
    faults: Faults = []
    lacking: list[Exclusion] = []
    for name, (number, rest) in (segments or {key: listed[key] for key in recordings}).items():
        try:
            recording, offset, duration = _stretch(rest) if segments else (name, 0.0, None)
            if recording not in recordings:
                reason = "left out" if recording in listed else "not in wav.scp"
                raise ValueError(f"its recording {recording} is {reason}")
        except ValueError as error:
            faults.append((f"line {number}", str(error)))
            continue
        text = texts.get(name, (0, ""))[1]
        if texts and not text:
            place = f"{path.name}, line {number} ({name})"
            lacking.append(Exclusion(place, "text has no transcript of it"))
            continue
        audio, channel = recordings[recording]
        speaker = speakers.get(name, (0, ""))[1]
        rows.append(Row(audio, duration, text or None, offset, speaker or None, name, channel))
    left_out += judged(path, len(rows) + len(lacking), faults, _KIND)
    lacking += [
        Exclusion(f"text, line {number} ({name})", f"not in {path.name}")
        for name, (number, _) in texts.items()
        if name not in known
    ]
    return rows, left_out + lacking


def _values(path: Path, left_out: list[Exclusion], optional: bool = False) -> Values:
    """Read a file of names and values, and add its faults to ``left_out``."""
    if optional and not path.exists():
        return {}
    lines, faults = read_words(path, 2)
    found: Values = {}
    for number, (name, *rest) in lines:
        if name in found:
            faults.append((f"line {number}", f"{name} is there a second time: remove one"))
        else:
            found[name] = number, rest[0] if rest else ""
    left_out += judged(path, len(found), faults, _KIND)
    return found


def _recordings(
    folder: Path, base: Path, listed: Values, left_out: list[Exclusion]
) -> dict[str, tuple[PurePath, int | None]]:
    """The paths and channels of ``listed``, by name."""
    paths: dict[str, PurePath] = {}
    faults: Faults = []
    for name, (number, place) in listed.items():
        try:
            paths[name] = _path(place, base)
        except ValueError as error:
            faults.append((f"line {number}", str(error)))
    left_out += judged(folder / "wav.scp", len(paths), faults, _KIND)
    # elsewhere the file is for scoring: its A and B are recordings of their own
    shared = {path for path, count in Counter(paths.values()).items() if count > 1}
    if not shared:
        return {name: (path, None) for name, path in paths.items()}
    sides = _values(folder / "reco2file_and_channel", left_out, optional=True)
    channels = {name: _CHANNELS.get(rest.lower()[-1:]) for name, (_, rest) in sides.items()}
    return {
        name: (path, channels.get(name) if path in shared else None) for name, path in paths.items()
    }


def _path(place: str, base: Path) -> PurePath:
    if place.endswith("|"):
        raise ValueError(
            "the recording is a command (it ends in |), and no command is run: write it to a file,"
            " as wav-copy 'COMMAND |' FILE does, and list that"
        )
    if not place or place == "-" or _ARCHIVE.search(place):
        raise ValueError(f"must name a file of audio, but is {place!r}")
    if not (base / place).exists():
        remedy = "the path" if PurePath(place).is_absolute() else "it, and set audio_dir"
        raise ValueError(f"{base / place} does not exist: check {remedy}")
    return PurePath(place)


def _stretch(rest: str) -> tuple[str, float, float | None]:
    """Return the recording, the offset and the duration of a segment, None up to the end."""
    recording, *times = rest.split()
    try:
        start, end = (float(time) for time in times[:2])
    except ValueError as error:
        raise ValueError(f"must be ID RECORDING START END, but has {rest!r} behind ID") from error
    if not 0 <= start < (math.inf if end == -1 else end) or end == math.inf:
        raise ValueError(f"goes from {start:g} s to {end:g} s: the times must rise from 0")
    return recording, start, None if end == -1 else round(end - start, 6)
