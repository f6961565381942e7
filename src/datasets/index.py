"""The index of a folder in LibriSpeech's layout: built once, and reused while it still fits.

JSON lines. The first is a header: version, fingerprint of the folder, its path and how many
lines follow. Then come one object for each utterance and one for each exclusion.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from src.audio.probing import probe_all
from src.audio.reading import AUDIO_SUFFIXES, AudioInfo
from src.datasets.corpus import Exclusion, audio_fault, plain_ids
from src.errors import ManifestError
from src.types import Utterance

VERSION = 1
TRANSCRIPT_SUFFIX = ".trans.txt"
_NOT_WORD = re.compile(r"[^\w.-]+")

Row = dict[str, Any]
Contents = tuple[list[Utterance], list[Exclusion]]


@dataclass(frozen=True, slots=True)
class Folder:
    """The recordings and transcripts directly in one folder, hidden files left out.

    Attributes:
        path: the folder.
        relative: its path below the root with "/" at the end; empty for the root itself.
        audio: names of the recordings, sorted.
        transcripts: names of the ``*.trans.txt``, sorted.
        signature: name, size and time of change of each of them.
    """

    path: Path
    relative: str
    audio: tuple[str, ...]
    transcripts: tuple[str, ...]
    signature: str


def walk(root: Path) -> Iterator[Folder]:
    """Every folder below ``root``, itself included, in sorted order; links are followed.

    Raises:
        ManifestError: a folder cannot be listed.
    """
    seen: set[tuple[int, int]] = set()  # a link may lead back to where it lies
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
            raise ManifestError(f"{path} cannot be listed: {error.strerror}") from error
        yield folder
        pending.extend((path / name, f"{relative}{name}/") for name in reversed(subfolders))


def _list(path: Path, relative: str) -> tuple[Folder, list[str]]:
    audio: list[str] = []
    transcripts: list[str] = []
    subfolders: list[str] = []
    signature: list[str] = []
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = entry.name
            if name.startswith("."):  # among them the "._NAME.wav" of macOS
                continue
            if name.endswith(TRANSCRIPT_SUFFIX):
                transcripts.append(name)
            elif os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES:
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
    folder = Folder(path, relative, tuple(audio), tuple(transcripts), "\n".join(signature))
    return folder, subfolders


def fingerprint(folders: Sequence[Folder]) -> str:
    """A digest of the names, sizes and times of change of all transcripts and recordings."""
    digest = hashlib.blake2b(digest_size=16)
    for folder in folders:
        if folder.signature:
            digest.update(os.fsencode(f"{folder.relative}\n{folder.signature}\n\n"))
    return digest.hexdigest()


def read_transcripts(folder: Folder) -> tuple[dict[str, str], list[Exclusion]]:
    """The transcripts of a folder by utterance id, and the lines that are not "ID TEXT"."""
    texts: dict[str, str] = {}
    exclusions: list[Exclusion] = []
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
                exclusions.append(Exclusion(f"{place}:{number}", "the line holds no transcript"))
            elif words[0] in texts:
                exclusions.append(Exclusion(f"{place}:{number}", "transcribed a second time"))
            else:
                texts[words[0]] = words[1].strip()
    return texts, exclusions


def open_index(root: Path, index_dir: Path, name: str, *, n_workers: int | None = None) -> Contents:
    """Utterances and exclusions of ``root``, from its index if that still fits.

    Several processes may call this at once: each sees no index or a whole one.

    Args:
        root: a folder in LibriSpeech's layout.
        index_dir: where indexes lie; never below ``root``, which may be read-only.
        name: what the file's name starts with; a hash of ``root``'s path follows.
        n_workers: threads that read headers; None for a number that suits the machine.

    Raises:
        ManifestError: ``root`` holds no transcripts, or the index cannot be written.
    """
    root = root.absolute()
    folders = list(walk(root))
    if not any(folder.transcripts for folder in folders):
        raise ManifestError(
            f"{root} holds no *{TRANSCRIPT_SUFFIX}, so it is not in LibriSpeech's layout: "
            "check the path, or read it as a plain folder or through a manifest"
        )
    mark = fingerprint(folders)
    digest = hashlib.blake2b(os.fsencode(root), digest_size=6).hexdigest()
    file = index_dir / f"{_NOT_WORD.sub('-', name)}-{digest}.jsonl"
    rows = _load(file, mark)
    if rows is None:
        rows = _scan(folders, n_workers)
        _save(file, {"version": VERSION, "fingerprint": mark, "root": str(root)}, rows)
    return _contents(rows, root)


def _scan(folders: Sequence[Folder], n_workers: int | None) -> list[Row]:
    exclusions: list[Exclusion] = []
    found: list[tuple[Path, str, str]] = []  # where it lies, the same below the root, transcript
    for folder in folders:
        texts, faults = read_transcripts(folder)
        exclusions.extend(faults)
        for name in folder.audio:
            text = texts.pop(os.path.splitext(name)[0], None)
            if text is None:
                exclusions.append(Exclusion(folder.relative + name, "no transcript of its own"))
            else:
                found.append((folder.path / name, folder.relative + name, text))
        exclusions.extend(Exclusion(name, "no audio beside its transcript") for name in texts)
    infos = probe_all([path for path, _, _ in found], n_workers=n_workers, description="indexing")
    rows: list[Row] = []
    for (path, relative, text), info in zip(found, infos, strict=True):
        if isinstance(info, AudioInfo):
            parts = relative.split("/")
            speaker = parts[-3] if len(parts) >= 3 else None
            rows.append(
                {"audio": relative, "duration": info.duration, "text": text, "speaker": speaker}
            )
        else:
            exclusions.append(Exclusion(relative, audio_fault(info, path)))
    paths = [PurePosixPath(row["audio"]) for row in rows]
    ids = plain_ids([(path.stem, path) for path in paths])
    rows = [{"id": id_, **row} for id_, row in zip(ids, rows, strict=True)]
    rows.extend({"excluded": item.name, "reason": item.reason} for item in exclusions)
    return rows


def _save(file: Path, header: Row, rows: Sequence[Row]) -> None:
    """Write under a temporary name, then rename, so that nobody reads half an index."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                for row in ({**header, "lines": len(rows)}, *rows):
                    stream.write(json.dumps(row) + "\n")
            os.chmod(name, 0o644)  # mkstemp hides it from colleagues who share the folder
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ManifestError(
            f"the index {file} cannot be written ({error.strerror}): set index_dir to a folder "
            "that can be written to"
        ) from error


def _load(file: Path, mark: str) -> list[Row] | None:
    """The rows of ``file``; None if it is absent, damaged, or describes an earlier state."""
    try:
        with file.open(encoding="ascii") as stream:
            header = json.loads(stream.readline())
            if (header["version"], header["fingerprint"]) != (VERSION, mark):
                return None
            # One call for all lines takes half of the time of one call a line.
            rows: list[Row] = json.loads(f"[{','.join(stream.read().splitlines())}]")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rows if len(rows) == header["lines"] else None


def _contents(rows: Sequence[Row], root: Path) -> Contents:
    utterances: list[Utterance] = []
    exclusions: list[Exclusion] = []
    for row in rows:
        if "excluded" in row:
            exclusions.append(Exclusion(row["excluded"], row["reason"]))
        else:
            utterances.append(
                Utterance(
                    id=row["id"],
                    audio=root / row["audio"],
                    duration=row["duration"],
                    text=row["text"],
                    speaker=row["speaker"],
                )
            )
    return utterances, exclusions
