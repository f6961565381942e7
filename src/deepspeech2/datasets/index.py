"""The index of a folder in LibriSpeech's layout: built once, and reused while it still fits.

JSON lines behind a seal (:mod:`deepspeech2.user_cache`). The first is a header: version,
fingerprint of the folder, and its path. Then come one object for each utterance and one for each
exclusion.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from deepspeech2.audio.reading import AudioInfo, probe_all
from deepspeech2.datasets.corpus import Exclusion, audio_fault, plain_ids
from deepspeech2.datasets.folders import TRANSCRIPT_SUFFIX, Folder, hidden, read_transcripts, walk
from deepspeech2.errors import ManifestError
from deepspeech2.files import safe_name
from deepspeech2.types import Utterance
from deepspeech2.user_cache import read_sealed, write_sealed

VERSION = 3
_LINES = 4096  # that are parsed at a time

Row = dict[str, Any]
Contents = tuple[list[Utterance], list[Exclusion]]


def fingerprint(folders: Sequence[Folder]) -> str:
    """A digest of the names, sizes and times of change of all transcripts and recordings."""
    digest = hashlib.blake2b(digest_size=16)
    for folder in folders:
        if folder.signature:
            digest.update(os.fsencode(f"{folder.relative}\n{folder.signature}\n\n"))
    return digest.hexdigest()


@contextmanager
def uncollected() -> Iterator[None]:
    """Within, Python's cyclic garbage collector rests. It would walk a million new objects, none
    of them garbage, over and over: a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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
    file = index_dir / f"{safe_name(name.replace('/', '-'))}-{digest}.jsonl"
    contents = _load(file, mark, root)
    if contents is None:
        rows = _scan(folders, n_workers)
        _save(file, {"version": VERSION, "fingerprint": mark, "root": str(root)}, rows)
        contents = _contents([rows], root)
    utterances, exclusions = contents
    return utterances, [*exclusions, *hidden(folders)]


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
    paths = [PurePosixPath(relative) for _, relative, _ in found]
    ids = plain_ids([(path.stem, path) for path in paths])
    infos = probe_all([path for path, _, _ in found], n_workers=n_workers, description="indexing")
    rows: list[Row] = []
    broken: list[Row] = []
    for id_, (path, relative, text), info in zip(ids, found, infos, strict=True):
        parts = relative.split("/")
        row: Row = {
            "id": id_,
            "audio": relative,
            "duration": 0.0,
            "text": text,
            "speaker": parts[-3] if len(parts) >= 3 else None,
        }
        if isinstance(info, AudioInfo):
            rows.append({**row, "duration": info.duration})
        else:
            reason = audio_fault(info, path)
            utterance = {**row, "duration": info.seconds}
            broken.append({"excluded": relative, "reason": reason, "utterance": utterance})
    rows.extend(broken)
    rows.extend({"excluded": item.name, "reason": item.reason} for item in exclusions)
    return rows


def _save(file: Path, header: Row, rows: Sequence[Row]) -> None:
    try:
        write_sealed(file, "".join(json.dumps(row) + "\n" for row in (header, *rows)).encode())
    except OSError as error:
        raise ManifestError(
            f"the index {file} cannot be written ({error.strerror}): set index_dir to a folder "
            "that can be written to"
        ) from error


def _load(file: Path, mark: str, root: Path) -> Contents | None:
    """What ``file`` holds; None if it is absent, not genuine, or describes an earlier state."""
    content = read_sealed(file)
    if content is None:
        return None
    with io.TextIOWrapper(io.BytesIO(content), encoding="ascii") as stream, uncollected():
        header = json.loads(stream.readline())
        fits = (header["version"], header["fingerprint"]) == (VERSION, mark)
        return _contents(_rows(stream), root) if fits else None


def _rows(stream: TextIO) -> Iterator[list[Row]]:
    """Some lines at a time: one call for many is twice as fast, and all would fill memory."""
    while lines := list(islice(stream, _LINES)):
        yield json.loads(f"[{','.join(lines)}]")


def _contents(chunks: Iterable[Sequence[Row]], root: Path) -> Contents:
    utterances: list[Utterance] = []
    exclusions: list[Exclusion] = []
    folders: dict[str, Path] = {}  # a path below a folder is made faster than one below the root
    for row in chain.from_iterable(chunks):
        if "excluded" in row:
            broken = _utterance(row["utterance"], root, folders) if "utterance" in row else None
            exclusions.append(Exclusion(row["excluded"], row["reason"], broken))
        else:
            utterances.append(_utterance(row, root, folders))
    return utterances, exclusions


def _utterance(row: Row, root: Path, folders: dict[str, Path]) -> Utterance:
    relative, _, name = row["audio"].rpartition("/")
    folder = folders.get(relative)
    if folder is None:
        folder = folders[relative] = root / relative
    return Utterance(row["id"], folder / name, row["duration"], row["text"], 0.0, row["speaker"])
