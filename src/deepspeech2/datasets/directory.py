"""A plain folder of recordings, with transcripts beside them or without."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deepspeech2.datasets.corpus import Corpus, Exclusion, select
from deepspeech2.datasets.folders import (
    Folder,
    Recording,
    as_utterances,
    hidden,
    read_transcripts,
    walk,
)
from deepspeech2.datasets.split import SHARES, split_of
from deepspeech2.errors import ManifestError
from deepspeech2.http.remote import on_disk
from deepspeech2.paths import resolve


class DirectoryCorpus(Corpus):
    """All recordings below a folder, or a single recording, sorted by path.

    A transcript is taken from ``*.trans.txt`` (LibriSpeech's layout), otherwise from
    ``<stem>.txt`` below ``transcripts`` or beside the recording; without one the text is None.
    ``DIR/audio`` beside ``DIR/transcriptions`` is recognised when ``DIR`` is given. Files that
    are no audio by their ending are ignored.

    Args:
        directory: the folder or file; a relative path counts from the repository's root.
        hours, limit, max_audio_length, max_text_length: what to keep; see
            :func:`~deepspeech2.datasets.corpus.select`.
        name: of the corpus; by default the name of ``directory``.
        transcripts: a folder of ``<stem>.txt``, flat or with the subfolders of ``directory``.
        split, shares, split_by: take one part; see :class:`~deepspeech2.datasets.split.Split`.

    Raises:
        ConfigError: an option is not positive, or there are fewer hours.
        ManifestError: a folder is missing, or no utterance is left.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        hours: float | None = None,
        limit: int | None = None,
        max_audio_length: float | None = None,
        max_text_length: int | None = None,
        name: str | None = None,
        transcripts: str | Path | None = None,
        split: str | None = None,
        shares: Sequence[float] = SHARES,
        split_by: str = "speaker",
    ) -> None:
        place = on_disk(directory)
        texts = None if transcripts is None else resolve(transcripts)
        if texts is not None and not texts.is_dir():
            raise ManifestError(f"{texts} is no folder: check transcripts")
        recordings, faults = _find(place, texts)
        utterances, unreadable = as_utterances(
            recordings, split=split_of(split, shares, split_by), place=place
        )
        kept, filtered = select(utterances, hours, limit, max_audio_length, max_text_length)
        if name is None:
            name = place.stem if place.is_file() else place.resolve().name
        super().__init__(name, kept, (*faults, *unreadable, *filtered), place=place)


def recordings_corpus(paths: Sequence[Path], *, name: str) -> Corpus:
    """Make a corpus of ``paths`` in their order, each with the transcript beside it.

    What does not exist or cannot be read is left out, with its reason.

    Raises:
        ManifestError: none of them can be used.
    """
    recordings: list[Recording] = []
    faults: list[Exclusion] = []
    for path in paths:
        inside, exclusions = _recordings(Folder(path.parent, "", (path.name,), (), ""), None)
        recordings += [replace(each, relative=str(path)) for each in inside]
        faults += exclusions
    utterances, unreadable = as_utterances(recordings)
    return Corpus(name, utterances, (*faults, *unreadable))


def _find(place: Path, texts: Path | None) -> tuple[list[Recording], list[Exclusion]]:
    if place.is_file():
        folder = Folder(place.parent, "", (place.name,), (), "")
        return _recordings(folder, texts)
    if not place.is_dir():
        raise ManifestError(f"{place} does not exist: give a recording or a folder of recordings")
    if texts is None and (place / "audio").is_dir() and (place / "transcriptions").is_dir():
        place, texts = place / "audio", place / "transcriptions"
    recordings: list[Recording] = []
    exclusions: list[Exclusion] = []
    folders = list(walk(place))
    for folder in folders:
        inside, faults = _recordings(folder, texts)
        recordings.extend(inside)
        exclusions.extend(faults)
    return recordings, [*exclusions, *hidden(folders)]


def _recordings(folder: Folder, texts: Path | None) -> tuple[list[Recording], list[Exclusion]]:
    known, exclusions = read_transcripts(folder)
    recordings: list[Recording] = []
    for name in folder.audio:
        stem = os.path.splitext(name)[0]
        relative = folder.relative + name
        text = known.get(stem)
        if text is None:
            candidates = (
                [folder.path / f"{stem}.txt"]
                if texts is None
                else [texts / folder.relative / f"{stem}.txt", texts / f"{stem}.txt"]
            )
            path = next((path for path in candidates if path.is_file()), None)
            try:
                text = None if path is None else _read(path)
            except UnicodeDecodeError:
                exclusions.append(Exclusion(relative, f"its transcript {path} is not UTF-8"))
                continue
            except OSError as error:
                reason = f"its transcript {path} cannot be read: {error.strerror}"
                exclusions.append(Exclusion(relative, reason))
                continue
        recordings.append(Recording(folder.path / name, relative, text))
    return recordings, exclusions


def _read(path: Path) -> str:
    """The words of a transcript, on one line."""
    return " ".join(path.read_text(encoding="utf-8-sig").split())
