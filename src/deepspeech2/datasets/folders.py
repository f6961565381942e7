"""Find recordings and transcripts in folders, and read what utterances they are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path, PurePosixPath

from deepspeech2.audio.reading import AUDIO_SUFFIXES, AudioInfo, probe_all
from deepspeech2.datasets.corpus import Exclusion, audio_fault, plain_ids
from deepspeech2.datasets.durations import infos_of
from deepspeech2.datasets.split import Split
from deepspeech2.errors import ManifestError
from deepspeech2.types import Utterance

TRANSCRIPT_SUFFIX = ".trans.txt"


@dataclass(frozen=True, slots=True)
class Folder:
    """The recordings and transcripts directly in one folder.

    Attributes:
        path: the folder.
        relative: its path below the root with "/" at the end; empty for the root itself.
        audio: names of the recordings, sorted.
        transcripts: names of the ``*.trans.txt``, sorted.
        signature: name, size and time of change of each of them.
        fault: why the folder could not be listed; empty where it could.
        n_hidden: how many recordings, transcripts and folders are ignored because their names
            begin with a dot, as the "._NAME.wav" of macOS.
    """

    path: Path
    relative: str
    audio: tuple[str, ...]
    transcripts: tuple[str, ...]
    signature: str
    fault: str = ""
    n_hidden: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """``relative`` is its path below the folder searched, ``text`` None without a transcript."""

    path: Path
    relative: str
    text: str | None
    speaker: str | None = None


def hidden(folders: Iterable[Folder]) -> list[Exclusion]:
    """Return one exclusion for all that was ignored because of a dot, if anything was."""
    count = sum(folder.n_hidden for folder in folders)
    things = "1 file or folder" if count == 1 else f"{count} files and folders"
    return [Exclusion(things, "the name begins with a dot")] if count else []


def walk(root: Path) -> Iterator[Folder]:
    """Yield ``root`` and every folder below it in sorted order; links are followed.

    A folder that cannot be listed has a fault, which :func:`read_transcripts` reports.

    Raises:
        ManifestError: ``root`` cannot be listed.
    """
    seen: set[tuple[int, int]] = set()  # a link may lead back to its own folder
    pending = [(root, "")]
    while pending:
        path, relative = pending.pop()
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            folder, subfolders = _list(path, relative)
        except OSError as error:
            fault = f"the folder cannot be listed: {error.strerror}"
            if not relative:
                raise ManifestError(f"{path}: {fault}") from error
            folder, subfolders = Folder(path, relative, (), (), fault, fault), []
        yield folder
        pending.extend((path / name, f"{relative}{name}/") for name in reversed(subfolders))


def _list(path: Path, relative: str) -> tuple[Folder, list[str]]:
    audio: list[str] = []
    transcripts: list[str] = []
    subfolders: list[str] = []
    signature: list[str] = []
    n_hidden = 0
    with _entries(path) as entries:
        for entry in sorted(entries, key=attrgetter("name")):
            name = entry.name
            if name.startswith("."):
                n_hidden += _is_speech(name) or entry.is_dir()
                continue
            if name.endswith(TRANSCRIPT_SUFFIX):
                transcripts.append(name)
            elif _ending(name) in AUDIO_SUFFIXES:
                audio.append(name)
            else:
                if entry.is_dir():
                    subfolders.append(name)
                continue
            try:
                status = entry.stat()
                signature.append(f"{name}\t{status.st_size}\t{status.st_mtime_ns}")
            except FileNotFoundError:  # a broken link, which probing reports
                signature.append(f"{name}\tbroken")
    names = tuple(audio), tuple(transcripts)
    return Folder(path, relative, *names, "\n".join(signature), n_hidden=n_hidden), subfolders


def _is_speech(name: str) -> bool:
    return name.endswith(TRANSCRIPT_SUFFIX) or _ending(name) in AUDIO_SUFFIXES


def by_stem(folder: Path) -> dict[str, str]:
    """The names of the recordings in ``folder`` by what is before their ending; of several that
    only differ in it the last counts.

    Raises:
        OSError: the folder cannot be listed.
    """
    names = [name for name in sorted(os.listdir(folder)) if _ending(name) in AUDIO_SUFFIXES]
    return {os.path.splitext(name)[0]: name for name in names}


def _ending(name: str) -> str:
    return name[name.rfind(".") :].lower()


@contextmanager
def _entries(path: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    """As os.scandir, but of an open folder: the system need not resolve the whole path of each
    file to return its size, which takes a fifth of the time less with 280,000 files."""
    if os.scandir not in os.supports_fd:
        with os.scandir(path) as entries:
            yield entries
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with os.scandir(descriptor) as entries:
            yield entries
    finally:
        os.close(descriptor)


def read_transcripts(folder: Folder) -> tuple[dict[str, str], list[Exclusion]]:
    """Return the transcripts of a folder by utterance id, and its faults: the folder itself, or
    lines that are not "ID TEXT"."""
    texts: dict[str, str] = {}
    exclusions = [Exclusion(folder.relative, folder.fault)] if folder.fault else []
    for name in folder.transcripts:
        place = f"{folder.relative}{name}"
        try:
            lines = (folder.path / name).read_text(encoding="utf-8-sig").split("\n")
        except UnicodeDecodeError:
            exclusions.append(Exclusion(place, "the transcript file is not UTF-8"))
            continue
        except OSError as error:
            exclusions.append(Exclusion(place, f"cannot be read: {error.strerror}"))
            continue
        for number, line in enumerate(lines, start=1):
            words = line.split(maxsplit=1)
            if not words:
                continue
            if len(words) == 1:
                exclusions.append(Exclusion(f"{place}:{number}", "the line contains no transcript"))
            elif words[0] in texts:
                exclusions.append(Exclusion(f"{place}:{number}", "transcribed a second time"))
            else:
                texts[words[0]] = words[1].strip()
    return texts, exclusions


def as_utterances(
    recordings: Sequence[Recording],
    *,
    n_workers: int | None = None,
    description: str = "reading headers",
    split: Split | None = None,
    place: Path | None = None,
) -> tuple[list[Utterance], list[Exclusion]]:
    """Give the recordings ids and durations; return those that can be read, and the others.

    Args:
        split: chooses a part of the recordings; the ids are the same without it.
        place: of the corpus, for which durations are kept; None: they are not.
    """
    paths = [PurePosixPath(recording.relative) for recording in recordings]
    ids = plain_ids([(path.stem, path) for path in paths])
    named = list(zip(ids, recordings, strict=True))
    if split is not None:
        named = split.take(
            named,
            lambda pair: pair[1].speaker,
            lambda pair: pair[1].relative,
            place or "the corpus",
        )
    files = [recording.path for _, recording in named]
    infos = (
        infos_of(files, place)
        if place is not None
        else probe_all(files, n_workers=n_workers, description=description)
    )
    utterances: list[Utterance] = []
    exclusions: list[Exclusion] = []
    for (id_, each), info in zip(named, infos, strict=True):
        duration = info.duration if isinstance(info, AudioInfo) else info.seconds
        utterance = Utterance(id_, each.path, duration, each.text, speaker=each.speaker)
        if isinstance(info, AudioInfo):
            utterances.append(utterance)
        else:
            exclusions.append(Exclusion(each.relative, audio_fault(info, each.path), utterance))
    return utterances, exclusions
