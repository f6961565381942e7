"""Read utterances from any data set of items, as ``torch.utils.data.Dataset``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, Protocol, Unpack

from tqdm import tqdm

from deepspeech2.audio.reading import probe
from deepspeech2.audio.stored import Content, item, register, samples_of
from deepspeech2.datasets.corpus import Corpus, audio_fault
from deepspeech2.datasets.row_corpus import Options, RowCorpus
from deepspeech2.datasets.rows import Row, judged, label, seconds
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.fields import AUDIO, ID, SPEAKER, TEXT, find, listed
from deepspeech2.files import safe_name
from deepspeech2.paths import resolve

_RATES = ("sample_rate", "sampling_rate")


class Items(Protocol):
    """A data set: ``torch.utils.data.Dataset`` with a length, of Hugging Face, or a list."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


class ItemCorpus(RowCorpus):
    """The items of a data set as utterances, in their order.

    An item is a dict with ``audio`` and ``text``, and may have ``speaker`` and ``id``. ``audio`` is
    the path of a recording; a tensor or array of floats (S,) or (C, S) with ``sample_rate`` (Hz)
    beside it; the bytes of a file; or a dict of these, as Hugging Face has it. A tuple is
    ``(audio, sample_rate, text, ...)``, as torchaudio's data sets have it. Other names of these
    keys are accepted, see :mod:`deepspeech2.fields`.

    Each item is read once at the start, for its text and duration, unless the data set has a method
    ``describe(index)`` that returns ``duration`` (seconds), ``text``, ``speaker`` and ``id`` alone.
    Its attribute ``fingerprint``, if it has one, is then taken to change with the samples.
    Samples are read again whenever they are needed, by processes that have a copy of the data set.
    An item that is wrong is left out, and is one of ``exclusions``.

    Args:
        items: the data set.
        options: of every reader; see :class:`~deepspeech2.datasets.row_corpus.RowCorpus`. The
            corpus' own name is that of the class of ``items``.

    Raises:
        ConfigError: an option is out of range, or ``items`` has no length.
        ManifestError: more than half of the items are wrong, or no utterance is left.
    """

    def __init__(self, items: Items, **options: Unpack[Options]) -> None:
        if not is_items(items):
            raise ConfigError(
                "items must be a data set with a length and items by number, but is a"
                f" {type(items).__name__}"
            )
        kind = type(items)
        reader = _Reader(items)
        title = getattr(items, "title", None)  # of our own readers
        name = register(safe_name(title or f"{kind.__module__}.{kind.__qualname__}"), reader)
        rows: list[Row] = []
        faults: list[tuple[str, str]] = []
        bar = tqdm(range(len(items)), f"reading {name}", unit=" items", delay=1, disable=None)
        for index in bar:
            try:
                rows.append(_row(reader, name, index))
            except ValueError as error:
                faults.append((f"item {index}", str(error)))
        place = Path(name)
        wrong = judged(place, len(rows), faults, "data set of speech")
        super().__init__(
            rows,
            wrong,
            folder=Path(),
            place=place,
            default_name=title or kind.__name__,
            **options,
        )


def is_items(found: object) -> bool:
    """Whether ``found`` has a length, and items by number."""
    sized = hasattr(found, "__len__") and hasattr(found, "__getitem__")
    return sized and not isinstance(found, str | bytes | Mapping)


def as_corpus(found: Any) -> Any:
    """A data set of items as a corpus; anything else, a corpus among it, as it is."""
    return found if isinstance(found, Corpus) or not is_items(found) else ItemCorpus(found)


class _Reader:
    """Reads items of a data set; the last one is kept, for it is often asked for twice."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self._last: tuple[int, Any] | None = None

    def fields(self, index: int) -> Mapping[str, Any]:
        if self._last is None or self._last[0] != index:
            self._last = index, _as_mapping(self.items[index])
        found: Mapping[str, Any] = self._last[1]
        return found

    def described(self, index: int) -> Mapping[str, Any] | None:
        describe = getattr(self.items, "describe", None)
        return None if describe is None else _as_mapping(describe(index))

    def __call__(self, index: int) -> Content:
        try:
            content = _audio(self.fields(index))
        except Exception as error:  # whatever the data set raises: it is somebody else's
            raise AudioError(f"item {index} cannot be read: {_said(error)}") from error
        return content.read_bytes() if isinstance(content, Path) else content

    def __getstate__(self) -> dict[str, Any]:
        return {"items": self.items, "_last": None}


def _row(reader: _Reader, name: str, index: int) -> Row:
    """Raises ValueError where the item is wrong."""
    try:
        given = reader.described(index)
        fields = reader.fields(index) if given is None else given
        content = _audio(fields) if given is None else None
    except ValueError:
        raise
    except Exception as error:  # whatever the data set raises: it is somebody else's
        raise ValueError(f"cannot be read: {_said(error)}") from error
    text = fields.get(find(fields, TEXT) or "text")
    if text is not None and not isinstance(text, str):
        raise ValueError(f"text must be a string, but is {text!r}")
    known = dict(fields)
    speaker, own = label(known, find(known, SPEAKER) or "speaker"), label(known, "id")
    own = own or label(known, find(known, ID) or "id")
    if isinstance(content, Path):
        return Row(content, seconds(known, "duration"), text, 0.0, speaker, own)
    if content is None:
        mark = getattr(reader.items, "fingerprint", "")
        path, duration = item(name, index, mark), seconds(known, "duration")
        if duration is None or duration <= 0:
            raise ValueError(f"describe must return a positive duration, but has {duration}")
    elif isinstance(content, bytes):
        path = item(name, index, _digest(content))
        try:
            duration = probe(path).duration
        except AudioError as error:
            raise ValueError(audio_fault(error, path)) from error
    else:
        samples, rate = content
        path, duration = item(name, index, _digest(samples.tobytes())), len(samples) / rate
    return Row(path, duration, text, 0.0, speaker, own or f"{index:06d}")


def _as_mapping(found: Any) -> Mapping[str, Any]:
    if isinstance(found, Mapping):
        return found
    if isinstance(found, tuple) and len(found) >= 3:
        return dict(zip(("audio", "sample_rate", "text"), found, strict=False))
    raise ValueError(
        "must be a dict with audio and text, or (audio, sample_rate, text), but is a"
        f" {type(found).__name__}"
    )


def _audio(fields: Mapping[str, Any]) -> Content | Path:
    key = "audio" if "audio" in fields else find(fields, AUDIO)
    audio = None if key is None else fields[key]
    if audio is None:
        raise ValueError(f"has no audio, its keys are {listed(fields)}")
    if isinstance(audio, Mapping):
        for name in ("array", "bytes", "path"):
            if audio.get(name) is not None:
                return _audio({**audio, "audio": audio[name]})
        raise ValueError(f"audio has neither array, bytes nor path: its keys are {listed(audio)}")
    if isinstance(audio, str | PurePath):
        return resolve(str(audio))
    if isinstance(audio, bytes):
        return audio
    rate = next((fields[name] for name in _RATES if name in fields), None)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
        raise ValueError(f"sample_rate must be a positive number of Hz, but is {rate!r}")
    return samples_of(audio), int(rate)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' if lines else ''}{lines[0] if lines else ''}"
