"""Read files of ``torch.save`` without torch's own reader: zip archives, and what came before.

The directory at the end of an archive is the one table of contents. What disagrees with it, is
compressed, reaches beyond the file or has another checksum is refused, so that no other reader
could have seen another content.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepspeech2.checkpoint.safe_unpickle import Placeholder, unpickle
from deepspeech2.errors import CheckpointError
from deepspeech2.escaping import first_line

Bytes = NDArray[np.uint8]

_DTYPES = {
    "torch.DoubleStorage": torch.float64, "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16, "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64, "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16, "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8, "torch.BoolStorage": torch.bool,
}  # fmt: skip
_LARGEST_PICKLE = 2**26  # bytes
_SHARED = 2  # tensors that a number may be part of, on average
_LOCAL = struct.Struct("<4s5H3L2H")  # header of an entry
_ENTRY, _END, _END_64, _LOCATOR = b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7"
_LARGE = 0xFFFFFFFF  # in the place of sizes that need more than 32 bits
_HAS_DESCRIPTOR, _UTF8 = 0x08, 0x800  # flags of an entry
# Pickles of a magic number, of the protocol's version, and of the machine's byte order.
_SEQUENTIAL = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."


def read(path: Path, *, placeholders: bool = False) -> Any:
    """Read a file of ``torch.save``; its tensors are on the CPU.

    Args:
        placeholders: whether it may name classes, whose objects become
            :class:`deepspeech2.checkpoint.safe_unpickle.Placeholder`.

    Raises:
        CheckpointError: missing, no file, damaged, no checkpoint, or it names what none needs.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            content: Bytes = np.fromfile(file, np.uint8)
            if content[:4].tobytes() == _ENTRY:
                return _from_zip(file, content, placeholders=placeholders)
            return _from_sequence(content, placeholders=placeholders)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} has objects other than tensors and plain containers, so nothing of it was"
            f" loaded ({first_line(error)})"
        ) from error
    except (ValueError, OSError, zipfile.BadZipFile, NotImplementedError, MemoryError) as error:
        raise CheckpointError(
            f"{path} is cut off or no checkpoint, so nothing of it was loaded ({first_line(error)})"
        ) from error


def check_regular(path: Path) -> None:
    """Raise CheckpointError unless ``path`` is a file that can be read to an end."""
    try:
        if path.is_file():
            return
        exists = path.exists()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error
    raise CheckpointError(
        f"{path} is {'a folder' if path.is_dir() else 'no regular file'}: name a checkpoint"
        if exists
        else f"{path} does not exist: train a model, run download_model.py, or name another file,"
        " as the small English model that comes along, models/english.pth"
    )


def _from_zip(file: BinaryIO, content: Bytes, *, placeholders: bool) -> Any:
    entries = _entries(file, content)
    roots = [name for name in entries if re.fullmatch(r"[^/]+/data\.pkl", name)]
    if len(roots) != 1:
        raise ValueError("it has no data.pkl, or several")
    root = roots[0].removesuffix("data.pkl")
    if f"{root}byteorder" in entries and entries[f"{root}byteorder"]().tobytes() != b"little":
        raise ValueError("its byte order is another than this machine's")
    found: dict[str, Bytes] = {}

    def storage(name: Any) -> Tensor:
        dtype, key, length = _storage(name)
        if key not in found:
            if f"{root}data/{key}" not in entries:
                raise ValueError(f"it lacks the tensor {key!r}")
            found[key] = entries[f"{root}data/{key}"]()
        if len(found[key]) != length * dtype.itemsize:
            raise ValueError(f"its tensor {key!r} has another length than is said of it")
        aligned = found[key].ctypes.data % dtype.itemsize == 0  # as the processor likes it
        return torch.from_numpy(found[key] if aligned else found[key].copy()).view(dtype)

    pickled = entries[roots[0]]()
    if len(pickled) > _LARGEST_PICKLE:
        raise ValueError(f"its data.pkl has {len(pickled):,} bytes")
    room = _SHARED * len(content)
    return unpickle(io.BytesIO(pickled.tobytes()), storage, room=room, placeholders=placeholders)


def _entries(file: BinaryIO, content: Bytes) -> Mapping[str, Callable[[], Bytes]]:
    """Return for each name a function that checks the entry and returns its bytes.

    Raises:
        ValueError: the archive can be read in more than one way.
    """
    raw = content.data
    with zipfile.ZipFile(file) as archive:
        listed = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
        directory = archive.start_dir
    if raw[-22:-18] != _END:
        raise ValueError("something follows its table of contents")
    if raw[-42:-38] == _LOCATOR and (
        raw[-98:-94] != _END_64 or struct.unpack_from("<Q", raw, len(raw) - 34)[0] != len(raw) - 98
    ):
        raise ValueError("it names another table of contents than the one at its end")
    if any(entry.filename.rpartition("/")[2] == "constants.pkl" for entry in listed):
        raise ValueError("it is a TorchScript program: take what it was made from")
    if len({entry.orig_filename for entry in listed}) != len(listed):
        raise ValueError("its table of contents has a name twice")
    found: dict[str, Callable[[], Bytes]] = {}
    place = 0
    for entry in listed:
        if entry.header_offset != place:
            raise ValueError("its entries overlap, or there is something between them")
        begin = _begin(raw[place:directory], entry)
        end = begin + place + entry.file_size
        found[entry.orig_filename] = partial(_checked, content[begin + place : end], entry)
        place = end + _descriptor(raw[end:directory], entry)
    if place != directory:
        raise ValueError("there is something before its table of contents")
    return found


def _begin(raw: memoryview, entry: zipfile.ZipInfo) -> int:
    """Return where the bytes of an entry begin, whose header is at the beginning of ``raw``.

    Raises:
        ValueError: they are compressed, cut off, or described otherwise than in the table.
    """
    if entry.compress_type or entry.file_size != entry.compress_size or entry.flag_bits & 1:
        raise ValueError(f"its {entry.orig_filename!r} is compressed or encrypted")
    name = entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437")
    if len(raw) < _LOCAL.size + len(name) + entry.file_size:
        raise ValueError(f"its {entry.orig_filename!r} is cut off")
    signature, _, flags, method, _, _, *own, n_name, n_extra = _LOCAL.unpack_from(raw)
    # where a descriptor follows the bytes, the header may leave checksum and sizes to it
    absent = 0 if flags & _HAS_DESCRIPTOR else None
    listed = (entry.CRC, min(entry.file_size, _LARGE), min(entry.file_size, _LARGE))
    agree = all(here in (there, absent) for here, there in zip(own, listed, strict=True))
    described = (signature, flags, method, bytes(raw[_LOCAL.size :][:n_name]))
    begin = int(_LOCAL.size + n_name + n_extra)
    if not agree or described != (_ENTRY, entry.flag_bits, 0, name):
        raise ValueError(f"its table of contents and its {entry.orig_filename!r} disagree")
    if begin + entry.file_size > len(raw):
        raise ValueError(f"its {entry.orig_filename!r} is cut off")
    return begin


def _descriptor(raw: memoryview, entry: zipfile.ZipInfo) -> int:
    """Return the length of the descriptor that repeats checksum and sizes behind an entry.

    It is 0 unless ``raw``, which begins behind the entry, begins with one.
    """
    size = entry.file_size
    for form in ("<4sLLL", "<4sLQQ") if entry.flag_bits & _HAS_DESCRIPTOR else ():
        written = min(size, _LARGE) if form == "<4sLLL" else size
        expected = struct.pack(form, b"PK\7\b", entry.CRC, written, written)
        if raw[: len(expected)] == expected:
            return len(expected)
    return 0


def _checked(part: Bytes, entry: zipfile.ZipInfo) -> Bytes:
    if zlib.crc32(part.data) != entry.CRC:
        raise ValueError(f"its {entry.orig_filename!r} is damaged: the checksum is another")
    return part


def _storage(name: Any) -> tuple[torch.dtype, str, int]:
    """Return type, key and length of the storage that a persistent id names."""
    match name:
        case ("storage", Placeholder(name=kind), str(key), str(), int(length), *more):
            if kind in _DTYPES and 0 <= length < 2**48 and more in ([], [None]):
                return _DTYPES[kind], key, length
            raise ValueError(f"its tensor {key!r} is a part of another or of a kind {kind!r}")
    raise ValueError("it names something other than a tensor's numbers")


def _from_sequence(content: Bytes, *, placeholders: bool) -> Any:
    """Read the format before torch 1.6: several pickles, then the numbers of each storage."""
    stream = io.BytesIO(content.tobytes())
    if stream.read(len(_SEQUENTIAL)) != _SEQUENTIAL:
        tar = content[257:262].tobytes() == b"ustar"
        raise ValueError(
            "it is a tar archive, which is not read" if tar else "it is no file of torch.save"
        )
    room = len(content)
    found: dict[str, Tensor] = {}

    def storage(name: Any) -> Tensor:
        nonlocal room
        dtype, key, length = _storage(name)
        if key not in found:
            room -= length * dtype.itemsize
            if room < 0:
                raise ValueError("its tensors are larger than the file")
            found[key] = torch.empty(length, dtype=dtype)
        if (len(found[key]), found[key].dtype) != (length, dtype):
            raise ValueError(f"its tensor {key!r} has two lengths or kinds")
        return found[key]

    def none(name: Any) -> Tensor:
        raise ValueError("it has a tensor where none belongs")

    system = unpickle(stream, none, room=0, placeholders=False)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("its byte order is another than this machine's")
    value = unpickle(stream, storage, room=_SHARED * len(content), placeholders=placeholders)
    keys = unpickle(stream, none, room=0, placeholders=False)
    if not isinstance(keys, list) or sorted(map(repr, keys)) != sorted(map(repr, found)):
        raise ValueError("its list of tensors is not of those that it has")
    for key in keys:
        target = found[key]
        if stream.read(8) != struct.pack("<q", len(target)):
            raise ValueError(f"its tensor {key!r} has another length than is said of it")
        if stream.readinto(target.view(torch.uint8).numpy().data) < target.nbytes:
            raise ValueError("it ends within a tensor")
    return value
