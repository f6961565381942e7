"""Index a folder in LibriSpeech's layout once, and reuse the index while it still fits.

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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from deepspeech2.datasets.corpus import Exclusion
from deepspeech2.datasets.folders import (
    TRANSCRIPT_SUFFIX,
    Folder,
    Recording,
    as_utterances,
    hidden,
    read_transcripts,
    walk,
)
from deepspeech2.errors import ManifestError
from deepspeech2.files import safe_name
from deepspeech2.types import Utterance
from deepspeech2.user_cache import read_sealed, write_sealed

VERSION = 3
_LINES = 4096  # that are parsed at a time

Row = dict[str, Any]
Contents = tuple[list[Utterance], list[Exclusion]]


def fingerprint(folders: Sequence[Folder]) -> str:
    """Digest the names, sizes and times of change of all transcripts and recordings."""
    digest = hashlib.blake2b(digest_size=16)
    for folder in folders:
        if folder.signature:
            digest.update(os.fsencode(f"{folder.relative}\n{folder.signature}\n\n"))
    return digest.hexdigest()


@contextmanager
def uncollected() -> Iterator[None]:
    """Within, Python's cyclic garbage collector rests: to walk a million new objects, none of them
    garbage, again and again would take a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def open_index(root: Path, index_dir: Path, name: str, *, n_workers: int | None = None) -> Contents:
    """Return utterances and exclusions of ``root``, from its index if that still fits.

    Several processes may call this at once: each sees no index or a complete one.

    Args:
        root: a folder in LibriSpeech's layout.
        index_dir: of all indexes; never below ``root``, which may be read-only.
        name: the beginning of the index's name; a hash of ``root``'s path follows.
        n_workers: threads that read headers; None for a default.

    Raises:
        ManifestError: ``root`` contains no transcripts, or the index cannot be written.
    """
    root = root.absolute()
    folders = list(walk(root))
    if not any(folder.transcripts for folder in folders):
        raise ManifestError(
            f"{root} contains no *{TRANSCRIPT_SUFFIX}, so it is not in LibriSpeech's layout: "
            "check the path, or read it as a plain folder or through a manifest"
        )
    mark = fingerprint(folders)
    digest = hashlib.blake2b(os.fsencode(root), digest_size=6).hexdigest()
    file = index_dir / f"{safe_name(name.replace('/', '-'))}-{digest}.jsonl"
    contents = _load(file, mark, root)
    if contents is None:
        contents = _scan(folders, n_workers)
        _save(file, mark, root, contents)
    utterances, exclusions = contents
    return utterances, [*exclusions, *hidden(folders)]


def _scan(folders: Sequence[Folder], n_workers: int | None) -> Contents:
    exclusions: list[Exclusion] = []
    recordings: list[Recording] = []
    for folder in folders:
        texts, faults = read_transcripts(folder)
        exclusions.extend(faults)
        parts = folder.relative.split("/")
        speaker = parts[-3] if len(parts) >= 3 else None
        for name in folder.audio:
            text = texts.pop(os.path.splitext(name)[0], None)
            relative = folder.relative + name
            if text is None:
                exclusions.append(Exclusion(relative, "no transcript of its own"))
            else:
                recordings.append(Recording(folder.path / name, relative, text, speaker))
        exclusions.extend(Exclusion(name, "no audio beside its transcript") for name in texts)
    utterances, broken = as_utterances(recordings, n_workers=n_workers, description="indexing")
    return utterances, [*broken, *exclusions]


def _save(file: Path, mark: str, root: Path, contents: Contents) -> None:
    prefix = f"{root}{os.sep}"

    def row_of(utterance: Utterance) -> Row:
        return {
            "id": utterance.id,
            "audio": str(utterance.audio).removeprefix(prefix).replace(os.sep, "/"),
            "duration": utterance.duration,
            "text": utterance.text,
            "speaker": utterance.speaker,
        }

    utterances, exclusions = contents
    rows: list[Row] = [{"version": VERSION, "fingerprint": mark, "root": str(root)}]
    rows.extend(map(row_of, utterances))
    for item in exclusions:
        broken = {} if item.utterance is None else {"utterance": row_of(item.utterance)}
        rows.append({"excluded": item.name, "reason": item.reason, **broken})
    try:
        write_sealed(file, "".join(json.dumps(row) + "\n" for row in rows).encode())
    except OSError as error:
        raise ManifestError(
            f"the index {file} cannot be written ({error.strerror}): set index_dir to a folder "
            "that can be written to"
        ) from error


def _load(file: Path, mark: str, root: Path) -> Contents | None:
    """Read ``file``; None if it is absent, not genuine, or describes an earlier state."""
    content = read_sealed(file)
    if content is None:
        return None
    with io.TextIOWrapper(io.BytesIO(content), encoding="ascii") as stream, uncollected():
        header = json.loads(stream.readline())
        fits = (header["version"], header["fingerprint"]) == (VERSION, mark)
        if not fits:
            return None
        utterances: list[Utterance] = []
        exclusions: list[Exclusion] = []
        folders: dict[str, Path] = {}
        for row in _rows(stream):
            if "excluded" in row:
                broken = _utterance(row["utterance"], root, folders) if "utterance" in row else None
                exclusions.append(Exclusion(row["excluded"], row["reason"], broken))
            else:
                utterances.append(_utterance(row, root, folders))
        return utterances, exclusions


def _rows(stream: TextIO) -> Iterator[Row]:
    """Parse many lines at a time, which is twice as fast; all at once would fill memory."""
    while lines := list(islice(stream, _LINES)):
        yield from json.loads(f"[{','.join(lines)}]")


def _utterance(row: Row, root: Path, folders: dict[str, Path]) -> Utterance:
    """``folders`` are those made before: a path below one is made faster than below the root."""
    relative, _, name = row["audio"].rpartition("/")
    folder = folders.get(relative)
    if folder is None:
        folder = folders[relative] = root / relative
    return Utterance(row["id"], folder / name, row["duration"], row["text"], 0.0, row["speaker"])
