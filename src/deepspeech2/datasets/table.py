"""Read utterances from tables: CSV, TSV and text with another delimiter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Unpack

from deepspeech2.audio.reading import AUDIO_SUFFIXES
from deepspeech2.datasets.cells import read_cells
from deepspeech2.datasets.index import uncollected
from deepspeech2.datasets.row_corpus import Options, RowCorpus
from deepspeech2.datasets.rows import Row, judged
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.fields import AUDIO, ID, SPEAKER, TEXT, find, listed
from deepspeech2.http.addresses import is_address
from deepspeech2.http.remote import below, open_list, recording

NAMES: Mapping[str, tuple[str, ...]] = {
    "audio": (*AUDIO, "wav_filename", "file_name", "filename", "wav_path", "clip"),
    "text": TEXT,
    "speaker": SPEAKER,
    "id": ID,
    "start": ("start", "offset", "start_time", "begin"),
    "end": ("end", "end_time", "stop"),
    "duration": ("duration", "length", "seconds"),
}
"""Columns by what they mean, with the names that are understood in a header."""

Columns = dict[str, list[int]]
"""Places of columns, counted from 0, by what they mean."""


class TableCorpus(RowCorpus):
    """The utterances of a table, one a row, in its order.

    A row that is wrong is left out, and is one of ``exclusions``. An empty cell is a missing value.
    A recording is only opened where the table has neither its duration nor an end.

    Args:
        table: the file; a relative path counts from ``data_dir`` if that is given, otherwise from
            the repository's root. It may be an address, as may ``audio_dir`` and the recordings;
            see :mod:`deepspeech2.http.remote`.
        data_dir: a folder, or its address; a relative path counts from the repository's root.
        audio_dir: that relative paths of recordings count from; itself relative to the table's
            folder. None: that folder.
        columns: the table's columns by what they mean (``audio``, ``text``, ``speaker``, ``id``,
            ``start``, ``end``, ``duration``; times in seconds): a name, or a number counted from 1,
            or a list of which the first cell that is not empty counts. Those that are not named
            are found by their names, see :data:`NAMES`.
        header: whether the first row has the names; without it ``columns`` has numbers.
        delimiter: between cells; None: a tab if the name ends in ``.tsv``, otherwise the one of
            ``,``, ``;``, tab and ``|`` that is most frequent in the first row.
        quoting: whether quotation marks surround cells; None: with commas and semicolons.
        encoding: of the file; a byte order mark decides otherwise.
        suffix: added to names of recordings that have no ending of audio, as ``.wav``.
        options: of every reader; see :class:`~deepspeech2.datasets.row_corpus.RowCorpus`. The
            corpus' own name is the table's name without its ending.

    Raises:
        ConfigError: an option is out of range.
        ManifestError: the table or a column is missing, more than half of the rows are wrong, or no
            utterance is left.
    """

    def __init__(
        self,
        table: str | Path,
        data_dir: str | Path | None = None,
        *,
        audio_dir: str | Path | None = None,
        columns: Mapping[str, Any] | None = None,
        header: bool = True,
        delimiter: str | None = None,
        quoting: bool | None = None,
        encoding: str = "utf-8",
        suffix: str = "",
        **options: Unpack[Options],
    ) -> None:
        path = open_list(table, data_dir)
        folder = path.parent if audio_dir is None else below(path.parent, audio_dir)
        with uncollected():
            lines, faults = read_cells(path, delimiter, quoting, encoding)
            names = lines.pop(0)[1] if header and lines else None
            parse = parser(places(path, columns or {}, names), folder, suffix)
            width = len(names) if names else None
            rows: list[Row] = []
            for number, cells in lines:
                try:
                    if width is not None and any(cells[width:]):
                        raise ValueError(f"has {len(cells)} cells, but the header has {width}")
                    rows.append(parse(cells))
                except ValueError as error:
                    faults.append((f"line {number}", str(error)))
            wrong = judged(path, len(rows), sorted(faults, key=_line), "table of recordings")
            super().__init__(
                rows, wrong, folder=folder, place=path, default_name=path.stem, **options
            )


def _line(fault: tuple[str, str]) -> int:
    return int(fault[0].split()[1])


def places(path: Path, columns: Mapping[str, Any], names: Sequence[str] | None) -> Columns:
    """Find the columns of a table.

    Args:
        columns: names or numbers, see :class:`TableCorpus`.
        names: of all columns; None: there is no header.

    Raises:
        ConfigError: ``columns`` has a key that means nothing.
        ManifestError: a column, or the one of the recordings, is missing.
    """
    for key in columns:
        if key not in NAMES:
            raise ConfigError(f"columns takes {', '.join(NAMES)}, but not {key}")
    found: Columns = {}
    for key, known in NAMES.items():
        if (named := columns.get(key)) is not None:
            each = named if isinstance(named, list | tuple) else [named]
            found[key] = [_place(path, key, column, names) for column in each]
        elif names is not None and key not in columns:  # null: the column is not to be used
            try:
                name = find(names, known)
            except ValueError as error:
                raise ManifestError(f"{path}: {error}, or name it in columns.{key}") from error
            if name is not None:
                found[key] = [names.index(name)]
    if "audio" not in found:
        its = "it has no header" if names is None else f"its columns are {listed(names)}"
        raise ManifestError(
            f"{path} has no column of recordings, as {', '.join(NAMES['audio'][:4])}: {its}, so"
            " name one, as columns.audio=NAME or columns.audio=1"
        )
    return found


def _place(path: Path, key: str, column: object, names: Sequence[str] | None) -> int:
    if names is not None and str(column) in names:
        return names.index(str(column))
    if isinstance(column, int) and 1 <= column <= (len(names) if names else column):
        return column - 1
    its = "there is no header, so give a number" if names is None else f"there is {listed(names)}"
    raise ManifestError(f"{path} has no column {column!r}, which columns.{key} names: {its}")


def parser(columns: Columns, folder: Path, suffix: str) -> Callable[[Sequence[str]], Row]:
    """Return a function that makes a row of cells, and raises ValueError where they are wrong."""
    needed = 1 + max(max(each) for each in columns.values())
    simple = {key: each[0] for key, each in columns.items()}
    several = {key: each for key, each in columns.items() if len(each) > 1}
    timed = [key for key in ("start", "end", "duration") if key in columns]

    def cell(cells: Sequence[str], key: str) -> str | None:
        if key in several:
            return next((value for at in several[key] if (value := cells[at].strip())), None)
        return (cells[simple[key]].strip() or None) if key in simple else None

    def parse(cells: Sequence[str]) -> Row:
        if len(cells) < needed:
            raise ValueError(f"has {len(cells)} cells, but column {needed} is needed")
        audio = cell(cells, "audio")
        if audio is None:
            raise ValueError("the cell of the recording is empty")
        if suffix and PurePath(audio).suffix.lower() not in AUDIO_SUFFIXES:
            audio += suffix
        offset, duration = 0.0, None
        if timed:
            offset, duration = _times(*(_seconds(key, cell(cells, key)) for key in _TIMES))
        return Row(
            _path(audio, folder), duration, cell(cells, "text"), offset,
            cell(cells, "speaker"), cell(cells, "id"),
        )  # fmt: skip

    return parse


_TIMES = ("start", "end", "duration")


def _seconds(key: str, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{key} must be a number of seconds, but is {value!r}")
    return number


def _times(
    start: float | None, end: float | None, duration: float | None
) -> tuple[float, float | None]:
    """Return offset and duration; the latter is None where the table does not say it."""
    offset = start or 0.0
    if offset < 0:
        raise ValueError(f"start must not be negative, but is {offset:g}")
    if end is not None:
        if end <= offset:
            raise ValueError(f"ends at {end:g} s, but starts at {offset:g} s")
        return offset, round(end - offset, 6)
    if duration is not None and duration <= 0:
        raise ValueError(f"duration must be positive, but is {duration:g}")
    return offset, duration


def _path(audio: str, folder: Path) -> PurePath:
    """The path as written, or with / for each backslash of Windows if only that exists."""
    if "\\" in audio and not is_address(audio) and not (folder / audio).exists():
        audio = audio.replace("\\", "/")
    return recording(audio, folder)
