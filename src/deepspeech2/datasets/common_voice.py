"""Read Common Voice, as Mozilla's archives unpack (https://commonvoice.mozilla.org)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Unpack

from deepspeech2.datasets.cells import read_cells
from deepspeech2.datasets.corpus import Exclusion
from deepspeech2.datasets.index import uncollected
from deepspeech2.datasets.row_corpus import Options, RowCorpus
from deepspeech2.datasets.rows import Row, judged
from deepspeech2.errors import ManifestError
from deepspeech2.http.remote import on_disk

_DURATIONS = "clip_durations.tsv"
_NEEDED = ("client_id", "path", "sentence")


class CommonVoiceCorpus(RowCorpus):
    """One part of one language of Common Voice, in the order of its table.

    The folder has ``PART.tsv`` with the columns ``client_id``, ``path`` and ``sentence``, the
    recordings in ``clips``, and since release 13 ``clip_durations.tsv``, which spares opening them.
    A clip that is missing and an empty sentence are among ``exclusions``.

    Args:
        data_dir: the folder of the language, as ``cv-corpus-17.0-2024-03-15/en``; a relative path
            counts from the repository's root.
        part: ``train``, ``dev``, ``test``, ``validated``, ``other`` or ``invalidated``.
        options: of every reader; see :class:`~deepspeech2.datasets.row_corpus.RowCorpus`. The
            corpus' own name is ``part``.

    Raises:
        ConfigError: an option is out of range.
        ManifestError: the table, a column or the folder of clips is missing, more than half of the
            rows are wrong, or no utterance is left.
    """

    def __init__(
        self,
        data_dir: str | Path,
        part: str = "train",
        **options: Unpack[Options],
    ) -> None:
        folder = on_disk(data_dir)
        path = folder / f"{part}.tsv"
        with uncollected():
            rows, left_out = _rows(path, folder)
            super().__init__(
                rows, left_out, folder=folder / "clips", place=path, default_name=part, **options
            )


def _rows(path: Path, folder: Path) -> tuple[list[Row], list[Exclusion]]:
    lines, faults = read_cells(path, "\t", quoting=False)
    names = lines[0][1] if lines else []
    if lacking := [name for name in _NEEDED if name not in names]:
        raise ManifestError(
            f"{path} has no column {', '.join(lacking)}: it is no table of Common Voice;"
            " datasets=csv reads others"
        )
    speaker_at, audio_at, text_at = map(names.index, _NEEDED)
    needed = 1 + max(speaker_at, audio_at, text_at)
    clips, durations = _clips(folder / "clips"), _durations(folder / _DURATIONS)
    rows: list[Row] = []
    left_out: list[Exclusion] = []
    for number, cells in lines[1:]:
        if len(cells) < needed:
            faults.append((f"line {number}", f"has {len(cells)} cells, but {needed} are needed"))
            continue
        clip, text = cells[audio_at], cells[text_at].strip()
        if clip not in clips and f"{clip}.mp3" in clips:
            clip += ".mp3"  # the first releases leave the ending out
        if not text:
            left_out.append(Exclusion(f"{path.name}, line {number} ({clip})", "empty sentence"))
        elif clip not in clips:
            left_out.append(
                Exclusion(f"{path.name}, line {number} ({clip})", "the clip is missing in clips")
            )
        else:
            speaker = cells[speaker_at] or None
            rows.append(Row(PurePath(clip), durations.get(clip), text, 0.0, speaker))
    n_right = len(rows) + len(left_out)
    return rows, [*judged(path, n_right, faults, "table of Common Voice"), *left_out]


def _clips(folder: Path) -> set[str]:
    """The names in ``folder``: to list it once is faster than to ask for each of a million."""
    try:
        return set(os.listdir(folder))
    except OSError as error:
        raise ManifestError(
            f"{folder} cannot be listed ({error.strerror}): set data_dir to the folder of one"
            " language, with clips and the tables"
        ) from error


def _durations(path: Path) -> Mapping[str, float]:
    """Seconds by clip; empty where there is no such table."""
    if not path.is_file():
        return {}
    lines, _ = read_cells(path, "\t", quoting=False)
    found: dict[str, float] = {}
    for number, cells in lines[1:]:  # "clip" and "duration[ms]"
        try:
            milliseconds = int(cells[1])
        except (IndexError, ValueError) as error:
            raise ManifestError(
                f"{path}, line {number} is no clip with its milliseconds: remove {path.name}, and"
                " the recordings are opened instead"
            ) from error
        if milliseconds > 0:  # otherwise the recording decides
            found[cells[0]] = milliseconds / 1000
    return found
