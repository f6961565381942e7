"""Read utterances from a data set of Hugging Face's ``datasets``, which is optional."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from deepspeech2.datasets.items import ItemCorpus
from deepspeech2.datasets.row_corpus import Options
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.escaping import first_line
from deepspeech2.fields import AUDIO, ID, SPEAKER, TEXT, find, listed
from deepspeech2.paths import install, resolve

NAMES: Mapping[str, tuple[str, ...]] = {
    "audio": ("audio", *AUDIO), "text": TEXT, "speaker": SPEAKER, "id": ID,
    "duration": ("duration",),
}  # fmt: skip
"""Columns by what they mean, with the names that are understood."""

_FILES = {".parquet": "parquet", ".arrow": "arrow"}


class HuggingFaceCorpus(ItemCorpus):
    """The rows of a data set as utterances, in their order.

    Recordings are decoded here, from their bytes or files, so that ``torchcodec`` is not needed. No
    code that comes with a data set is run. Without a column of durations each recording is opened
    once at the start.

    Args:
        path: a folder that ``save_to_disk`` wrote; a folder or file of Parquet or Arrow; or the
            name of a data set on the Hub, as ``OWNER/NAME``, which is downloaded unless it is in
            the cache of ``datasets``. A relative path counts from the repository's root.
        part: which of its splits; null: there is only one.
        configuration: which of the Hub's configurations, as a language.
        revision: of the Hub's data set: a tag or a commit.
        columns: the columns by what they mean (``audio``, ``text``, ``speaker``, ``id``,
            ``duration`` in seconds); those that are not named are found by their names, see
            :data:`NAMES`.
        options: of every reader; see :class:`~deepspeech2.datasets.row_corpus.RowCorpus`. The
            corpus' own name is the last component of ``path``.

    Raises:
        ConfigError: ``datasets`` is not installed, or an option is out of range.
        ManifestError: the data set, the part or a column is missing, more than half of the items
            are wrong, or no utterance is left.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        part: str | None = None,
        configuration: str | None = None,
        revision: str | None = None,
        columns: Mapping[str, str | None] | None = None,
        **options: Unpack[Options],
    ) -> None:
        try:
            found = _open(str(path), part, configuration, revision)
        except ImportError as error:
            raise ConfigError(
                f"{path} needs the package datasets ({first_line(error)}): {install('huggingface')}"
            ) from error
        places = _places(path, columns or {}, found.column_names)
        super().__init__(Rows(found, places, Path(path).name), **options)


class Rows:
    """The columns that count of a data set, with audio that is not decoded.

    Args:
        found: a ``datasets.Dataset``.
        places: its columns by what they mean.
        title: of the data set.
    """

    def __init__(self, found: Any, places: Mapping[str, str], title: str) -> None:
        import datasets

        audio = places["audio"]
        if isinstance(found.features[audio], datasets.Audio):
            found = found.cast_column(audio, datasets.Audio(decode=False))
        found = found.with_format(None).select_columns(list(places.values()))
        self.title, self.fingerprint = title, str(found._fingerprint)
        self._found, self._places = found, dict(places)
        if "duration" in places:  # otherwise each item is read for its duration
            self._texts = found.select_columns([each for each in places.values() if each != audio])
            self.describe = self._describe

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._named(self._found[index])

    def _describe(self, index: int) -> dict[str, Any]:
        return self._named(self._texts[index])

    def _named(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {key: row[column] for key, column in self._places.items() if column in row}


def _open(path: str, part: str | None, configuration: str | None, revision: str | None) -> Any:
    """Raises ImportError where the package is absent."""
    import datasets

    place = resolve(path)
    try:
        if (place / "state.json").is_file() or (place / "dataset_dict.json").is_file():
            found = datasets.load_from_disk(str(place))
        elif place.suffix in _FILES and place.is_file():
            kind, file = _FILES[place.suffix], {"train": str(place)}
            found = datasets.load_dataset(kind, data_files=file, split="train")
        else:
            given = str(place) if place.exists() else path
            found = datasets.load_dataset(given, configuration, revision=revision)
    except ImportError:
        raise
    except Exception as error:  # of many libraries, whose errors have nothing in common
        raise ManifestError(
            f"{path} cannot be opened ({type(error).__name__}: {first_line(error)}): give a folder"
            " that save_to_disk wrote, Parquet, or a name on the Hub as OWNER/NAME"
        ) from error
    return _part(path, part, found)


def _part(path: str, part: str | None, found: Any) -> Any:
    if isinstance(found, Mapping):
        if part is None and len(found) == 1:
            return next(iter(found.values()))
        if part not in found:
            raise ManifestError(f"{path} has the parts {listed(found)}, but not {part}: set part")
        return found[part]
    if part not in (None, str(found.split)):
        raise ManifestError(
            f"{path} has no parts, but part is {part!r}: set part=null, and split to hold some of"
            " it out"
        )
    return found


def _places(
    path: str | Path, columns: Mapping[str, str | None], known: list[str]
) -> dict[str, str]:
    for key, column in columns.items():
        if key not in NAMES:
            raise ConfigError(f"columns takes {', '.join(NAMES)}, but not {key}")
        if column is not None and column not in known:
            raise ManifestError(
                f"{path} has no column {column!r}, which columns.{key} names: it has"
                f" {listed(known)}"
            )
    places = {key: column for key, column in columns.items() if column is not None}
    for key in (each for each in NAMES if each not in columns):
        try:
            column = find(known, NAMES[key])
        except ValueError as error:
            raise ManifestError(f"{path}: {error}, or name it in columns.{key}") from error
        if column is not None:
            places[key] = column
    if "audio" not in places:
        raise ManifestError(
            f"{path} has no column of recordings: its columns are {listed(known)}, so name one as"
            " columns.audio=NAME"
        )
    return places
