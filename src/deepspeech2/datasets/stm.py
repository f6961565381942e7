"""Read segment time marks of NIST, as those of TED-LIUM (https://www.openslr.org/51)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Unpack

from deepspeech2.datasets.cells import read_words
from deepspeech2.datasets.corpus import Exclusion
from deepspeech2.datasets.folders import by_stem
from deepspeech2.datasets.index import uncollected
from deepspeech2.datasets.row_corpus import Options, RowCorpus
from deepspeech2.datasets.rows import Row, judged
from deepspeech2.errors import ManifestError
from deepspeech2.http.remote import on_disk
from deepspeech2.paths import resolve

_IGNORED = "ignore_time_segment_in_scoring"
_UNKNOWN, _SILENCE = "<unk>", "<sil>"
_LABELS = re.compile(r"<[^<>]*>(?:\s+|$)")
_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")
_MARKS = re.compile(r"\([^()\s]*\)|<sil>|(?<!\S)@(?!\S)", re.IGNORECASE)
_CONTRACTED = re.compile(r" (?='(?:s|t|re|ve|ll|d|m)(?!\S))", re.IGNORECASE)


class StmCorpus(RowCorpus):
    """The segments of STM files, in their order.

    A line is ``FILE CHANNEL SPEAKER BEGIN END <LABELS> TRANSCRIPT`` with times in seconds; the
    labels may be absent, and ``;;`` begins a comment (sclite's manual, "Input file formats"). An
    utterance is named as Kaldi names it, FILE-BEGIN-END in hundredths of a second.

    Of alternatives ``{a / b}`` the first is taken. What is no word is dropped: ``{NOISE}``,
    ``<sil>``, ``@`` and what is in parentheses, as the 2 of ``read(2)``. ``it 's`` becomes
    ``it's``. Left out are segments with ``ignore_time_segment_in_scoring``, without a word, or
    with ``<unk>``, a word that nobody wrote down; these and wrong lines are ``exclusions``.

    Args:
        stm: a file, or a folder of ``*.stm``; a relative path counts from ``data_dir`` if that is
            given, otherwise from the repository's root.
        data_dir: a folder; a relative path counts from the repository's root.
        audio_dir: the folder of the recordings ``FILE.sph``, ``FILE.wav``, ...; a relative path
            counts as that of ``stm``. None: beside the lines.
        options: of every reader; see :class:`~deepspeech2.datasets.row_corpus.RowCorpus`. The
            corpus' own name is that of ``stm`` without its ending.

    Raises:
        ConfigError: an option is out of range.
        ManifestError: there is no STM file, more than half of the lines of one are wrong, or no
            utterance is left.
    """

    def __init__(
        self,
        stm: str | Path,
        data_dir: str | Path | None = None,
        audio_dir: str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        home = None if data_dir is None else on_disk(data_dir)
        path = on_disk(stm) if home is None else home / stm
        folder = path if path.is_dir() else path.parent
        if audio_dir is not None:
            folder = resolve(audio_dir) if home is None else home / audio_dir
        with uncollected():
            rows, left_out = _rows(path, folder)
            super().__init__(
                rows, left_out, folder=folder, place=path, default_name=path.stem, **options
            )


def _rows(path: Path, folder: Path) -> tuple[list[Row], list[Exclusion]]:
    files = sorted(path.glob("*.stm")) if path.is_dir() else [path]
    if not files:
        raise ManifestError(f"{path} contains no *.stm: check stm and data_dir")
    if not folder.is_dir():
        raise ManifestError(f"{folder} is no folder: set audio_dir to that of the recordings")
    recordings = by_stem(folder)
    recordings |= {name: name for name in recordings.values()}
    rows: list[Row] = []
    faults: list[tuple[str, str]] = []
    silent: Counter[str] = Counter()
    for file in files:
        lines, unread = read_words(file, 6)
        which = "" if file == path else f" of {file.name}"
        faults += [(f"{place}{which}", reason) for place, reason in unread]
        for number, words in lines:
            if words[0].startswith(";;"):
                continue
            try:
                row = _row(words, recordings, folder)
            except ValueError as error:
                faults.append((f"line {number}{which}", str(error)))
                continue
            if reason := _silence(row.text or ""):
                silent[reason] += 1
            else:
                rows.append(row)
    left_out = judged(path, len(rows) + silent.total(), faults, "STM file")
    for reason, count in silent.items():
        left_out.append(Exclusion("1 segment" if count == 1 else f"{count} segments", reason))
    return rows, left_out


def _row(words: list[str], recordings: Mapping[str, str], folder: Path) -> Row:
    if len(words) < 5:
        raise ValueError(
            f"has {len(words)} words, but begins with FILE CHANNEL SPEAKER BEGIN END: write these"
        )
    name, channel, speaker, *times = words[:5]
    try:
        begin, end = map(float, times)
    except ValueError as error:
        raise ValueError(f"BEGIN and END must be seconds, but are {' and '.join(times)}") from error
    if not 0 <= begin < end < math.inf:
        raise ValueError(f"goes from {begin:g} s to {end:g} s: the times must rise from 0")
    if name not in recordings:
        raise ValueError(f"{folder} has no recording {name}: check it, and set audio_dir")
    side = {"a": 1, "b": 2}.get(channel.lower()) or (int(channel) if channel.isdigit() else None)
    return Row(
        PurePath(recordings[name]),
        round(end - begin, 6),
        _words(words[5] if len(words) > 5 else ""),
        begin,
        speaker,
        f"{PurePath(name).stem}-{100 * begin:07.0f}-{100 * end:07.0f}",
        side or None,
    )


def _words(text: str) -> str:
    """The words that were said."""
    labels = _LABELS.match(text)
    if labels and labels.group().strip().lower() not in (_UNKNOWN, _SILENCE):
        text = text[labels.end() :]
    while (plain := _ALTERNATIVES.sub(_first, text)) != text:  # they may be within each other
        text = plain
    return _CONTRACTED.sub("", " ".join(_MARKS.sub("", text).split()))


def _first(alternatives: re.Match[str]) -> str:
    first, *others = alternatives.group(1).split("/")
    return first if others else ""


def _silence(text: str) -> str:
    """Why a transcript is of no use; empty if it is."""
    if text.lower() == _IGNORED:
        return _IGNORED
    if _UNKNOWN in text.lower():
        return f"contains {_UNKNOWN}, a word that nobody wrote down"
    return "" if text else "no word"
