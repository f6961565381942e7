"""Read tar shards in WebDataset's layout (https://github.com/webdataset/webdataset)."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from glob import glob
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, Unpack

from tqdm import tqdm

from deepspeech2.audio.reading import AUDIO_SUFFIXES, probe
from deepspeech2.audio.stored import member
from deepspeech2.datasets.corpus import Exclusion, audio_fault
from deepspeech2.datasets.index import uncollected
from deepspeech2.datasets.row_corpus import Options, RowCorpus
from deepspeech2.datasets.rows import Row, label, seconds
from deepspeech2.errors import AudioError, ManifestError
from deepspeech2.escaping import without_secrets
from deepspeech2.fields import ID, SPEAKER, TEXT, find
from deepspeech2.files import safe_name
from deepspeech2.hardware import cpus
from deepspeech2.http.addresses import joined, numbered
from deepspeech2.http.remote import copies, expanded
from deepspeech2.paths import resolve
from deepspeech2.processes import cancelling
from deepspeech2.user_cache import read_sealed, user_folder, write_sealed

VERSION = 1

Json = dict[str, Any]
Shard = TypeVar("Shard", Path, str)


class TarCorpus(RowCorpus):
    """The utterances of tar files, in their order; nothing is unpacked.

    Members of one name up to its first dot are an utterance: a recording (``KEY.flac``,
    ``KEY.wav``, ``KEY.ogg``, ...) and ``KEY.txt`` with its text, or ``KEY.json`` with ``text`` and
    perhaps ``speaker`` and ``id``. They follow each other. Where each recording is and how long, is
    found out once, and kept for as long as the shard has its size and time of change.

    Args:
        shards: a tar file, a folder of ``*.tar``, or a pattern such as ``train-{000..127}.tar`` or
            ``train-*.tar``; several as a list. Relative paths count from ``data_dir`` if that is
            given, otherwise from the repository's root. They may be addresses; see
            :mod:`deepspeech2.http.remote`.
        data_dir: a folder, or its address; a relative path counts from the repository's root.
        index_dir: for what is kept; None: the user's cache folder.
        options: of every reader; see :class:`~deepspeech2.datasets.row_corpus.RowCorpus`. The
            corpus' own name is that of the first shard's folder.

    Raises:
        ConfigError: an option is out of range.
        ManifestError: a shard is missing, packed or damaged, or no utterance is left.
    """

    def __init__(
        self,
        shards: str | Path | Sequence[str],
        data_dir: str | Path | None = None,
        index_dir: str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        several = [str(shards)] if isinstance(shards, str | Path) else list(shards)
        files = [file for each in several for file in _files(each, data_dir)]
        folder = Path(os.path.commonpath([file.parent for file in files]))
        indexes = user_folder() / "index" if index_dir is None else resolve(index_dir)
        rows: list[Row] = []
        left_out: list[Exclusion] = []
        with uncollected():
            for file, contents in zip(files, _indexed(files, indexes), strict=True):
                for row in contents:
                    if "reason" in row:
                        left_out.append(Exclusion(f"{file.name}, {row['name']}", row["reason"]))
                    else:
                        rows.append(_row(row, file.relative_to(folder)))
            super().__init__(
                rows, left_out, folder=folder, place=folder, default_name=folder.name, **options
            )


def _files(shards: str, data_dir: str | Path | None) -> list[Path]:
    """The shards that a pattern names, each absolute, fetched where they have addresses."""
    if (address := joined(shards, data_dir)) is not None:
        found = expanded(address)
        return copies([_plain(each, without_secrets(each).removesuffix("?...")) for each in found])
    return [_plain(file.absolute(), str(file)) for file in _here(shards, data_dir)]


def _plain(file: Shard, name: str) -> Shard:
    """Raises ManifestError for what is packed, or no tar file."""
    if name.lower().endswith(".tar"):
        return file
    raise ManifestError(
        f"{name} is no plain .tar, where recordings can be found by their place: unpack it, as with"
        " gunzip"
    )


def _here(shards: str, data_dir: str | Path | None) -> list[Path]:
    place = (resolve(".") if data_dir is None else resolve(data_dir)) / shards
    if place.is_dir():
        files = sorted(place.glob("*.tar"))
    elif (names := numbered(shards)) != [shards]:
        files = [file for name in names for file in _here(name, data_dir)]
    else:
        files = [place] if place.exists() else sorted(Path(each) for each in glob(str(place)))
    if not files:
        raise ManifestError(f"{place} is neither a tar file nor a folder of them: check shards")
    return files


def _indexed(files: Sequence[Path], indexes: Path) -> list[list[Json]]:
    """The contents of all shards, from their indexes where these still fit."""
    loaded = {file: _load(file, indexes) for file in files}
    known = {file: contents for file, contents in loaded.items() if contents is not None}
    missing = [file for file, contents in loaded.items() if contents is None]
    if missing:
        with (
            cancelling(ThreadPoolExecutor(min(16, 2 * cpus()))) as pool,
            tqdm(total=len(missing), desc="indexing", unit=" shards", disable=None) as bar,
        ):
            for file, contents in zip(missing, pool.map(_scan, missing), strict=True):
                known[file] = contents
                _save(file, indexes, contents)
                bar.update()
    return [known[file] for file in files]


def _scan(file: Path) -> list[Json]:
    """One object for each utterance, and for each fault."""
    found: list[Json] = []
    try:
        with tarfile.open(file, "r:") as archive:
            for key, members in _groups(archive):
                try:
                    found.append(_utterance(archive, file, key, members))
                except ValueError as error:
                    found.append({"name": key, "reason": str(error)})
    except FileNotFoundError as error:
        raise ManifestError(f"{file} does not exist: check shards and data_dir") from error
    except (OSError, tarfile.TarError, EOFError) as error:
        behind = f"behind {found[-1]['name']}" if found else "from the beginning"
        found.append({"name": behind, "reason": f"damaged or no tar file ({error}): copy it again"})
    return found


def _groups(archive: tarfile.TarFile) -> Iterator[tuple[str, list[tarfile.TarInfo]]]:
    """Members that follow each other and have the same name up to the first dot."""
    key, group = "", list[tarfile.TarInfo]()
    for each in archive:
        path = PurePosixPath(each.name)
        if not each.isreg() or path.name.startswith("."):
            continue
        own = (path.parent / path.name.partition(".")[0]).as_posix()
        if own != key and group:
            yield key, group
            group = []
        key = own
        group.append(each)
    if group:
        yield key, group


def _utterance(
    archive: tarfile.TarFile, file: Path, key: str, members: Sequence[tarfile.TarInfo]
) -> Json:
    """Raises ValueError where it is wrong."""
    by_ending = {PurePosixPath(each.name).suffix.lower(): each for each in members}
    sounds = [each for ending, each in by_ending.items() if ending in AUDIO_SUFFIXES]
    if len(sounds) != 1 or sounds[0].issparse():
        endings = ", ".join(by_ending)
        raise ValueError(f"must have one recording and KEY.txt or KEY.json, but has {endings}")
    fields: Json = {}
    if ".json" in by_ending:
        with suppress(json.JSONDecodeError):
            fields = json.loads(_text(archive, by_ending[".json"]))
        if not isinstance(fields, dict) or not fields:
            raise ValueError("KEY.json is no JSON object")
    text = fields.get(find(fields, TEXT) or "text")
    if ".txt" in by_ending:
        text = " ".join(_text(archive, by_ending[".txt"]).split())
    if text is not None and not isinstance(text, str):
        raise ValueError(f"text must be a string, but is {json.dumps(text)}")
    sound = sounds[0]
    name = PurePosixPath(sound.name).name.replace("\\", "-")
    duration = seconds(fields, "duration")
    if duration is None:
        path = member(file, sound.offset_data, sound.size, name)
        try:
            duration = probe(path).duration
        except AudioError as error:
            raise ValueError(audio_fault(error, path)) from error
    if duration <= 0:
        raise ValueError(f"duration must be positive, but is {duration:g}")
    return {
        "id": label(fields, find(fields, ID) or "id") or key,
        "name": name,
        "at": [sound.offset_data, sound.size],
        "duration": duration,
        "text": text,
        "speaker": label(fields, find(fields, SPEAKER) or "speaker"),
    }


def _text(archive: tarfile.TarFile, info: tarfile.TarInfo) -> str:
    stream = archive.extractfile(info)
    assert stream is not None  # it is a regular file
    try:
        return stream.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{info.name} is not UTF-8") from error


def _row(row: Json, file: Path) -> Row:
    start, size = row["at"]
    audio = member(file, start, size, row["name"])
    return Row(audio, row["duration"], row["text"], 0.0, row["speaker"], row["id"])


def _index(file: Path, indexes: Path) -> Path:
    digest = hashlib.blake2b(os.fsencode(file), digest_size=6).hexdigest()
    return indexes / f"{safe_name(file.stem)}-{digest}.json"


def _state(file: Path) -> str:
    status = file.stat()
    return f"{VERSION} {file} {status.st_size} {status.st_mtime_ns}"


def _load(file: Path, indexes: Path) -> list[Json] | None:
    content = read_sealed(_index(file, indexes))
    if content is None or not file.exists():
        return None
    state, contents = json.loads(content)
    found: list[Json] = contents
    return found if state == _state(file) else None


def _save(file: Path, indexes: Path, contents: list[Json]) -> None:
    path = _index(file, indexes)
    try:
        write_sealed(path, json.dumps([_state(file), contents]).encode())
    except OSError as error:
        raise ManifestError(
            f"the index {path} cannot be written ({error.strerror}): set index_dir to a folder that"
            " can be written to"
        ) from error
