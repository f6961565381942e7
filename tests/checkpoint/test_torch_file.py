"""Files of torch.save are read by one table of contents, whole, and nothing else is touched."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import re
import struct
import tarfile
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._utils

from deepspeech2 import checkpoint
from deepspeech2.checkpoint.torch_file import read
from deepspeech2.errors import CheckpointError
from deepspeech2.extras.interchange import convert

OLD = "_use_new_zipfile_serialization"
VALUE: dict[str, Any] = {
    "state_dict": OrderedDict(
        {"a": torch.randn(3, 4).T, "b": torch.arange(5), "c": torch.zeros(0), "d": torch.ones(())}
    ),
    "half": torch.randn(7).to(torch.bfloat16),
    "bytes": torch.tensor([1, 2, 255], dtype=torch.uint8),
    "list": [1, -(2**40), 0.5, None, True, "text ä", (1, 2, 3, 4)],
    "milestones": Counter({3: 1}),
    "shape": torch.Size([2, 3]),
}


def saved(value: Any, **options: Any) -> bytearray:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return bytearray(file.getvalue())


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def why(path: Path) -> str:
    """Why every way in refuses the file; the same sentence for all."""
    for reading in (convert, checkpoint.load):
        with pytest.raises(CheckpointError) as caught:
            reading(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("options", [{}, {"pickle_protocol": 4}, {OLD: False}])
def test_it_reads_what_torch_wrote(tmp_path: Path, options: dict[str, Any]) -> None:
    found = read(put(tmp_path / "x.pth", saved(VALUE, **options)))
    assert repr(found) == repr(
        {**VALUE, "state_dict": dict(VALUE["state_dict"]), "shape": tuple(VALUE["shape"])}
    )
    found["state_dict"]["a"].zero_()  # it owns its numbers
    assert found["milestones"][17] == 0


@pytest.mark.filterwarnings("ignore:.*is (deprecated|not supported):DeprecationWarning")
def test_two_tables_of_contents(tmp_path: Path) -> None:
    """One reader finds a checkpoint, another one a program, which torch would run."""

    class Nothing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    program, file = io.BytesIO(), saved(VALUE)
    torch.jit.save(torch.jit.script(Nothing()), program)
    struct.pack_into("<Q", file, len(file) - 34, len(program.getvalue()) - 98)
    path = put(tmp_path / "two.pth", program.getvalue() + file)
    with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:  # so Python 3.14 says
        assert not any("constants.pkl" in name for name in archive.namelist())
    with pytest.warns(UserWarning, match=r"dispatching to 'torch\.jit\.load'"):
        assert isinstance(torch.load(path, weights_only=False), torch.jit.ScriptModule)
    assert re.search("names another table of contents|Corrupt zip64", why(path))
    assert "TorchScript program" in why(put(path, program.getvalue()))


def rezipped(
    value: Any, change: Callable[[dict[str, bytes]], Any], method: int = zipfile.ZIP_STORED
) -> bytes:
    """A checkpoint whose entries were changed, written by another program."""
    file, entries = io.BytesIO(), {}
    with zipfile.ZipFile(io.BytesIO(saved(value))) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_zip_archives_with_two_readings(tmp_path: Path) -> None:
    path, value = tmp_path / "x.pth", {"w": torch.arange(100.0)}
    assert read(put(path, rezipped(value, len)))["w"].sum() == 4950
    whole = saved(value)
    shifted = rezipped(value, len)
    assert "is something between" in why(put(path, shifted[:30] + shifted))
    assert "no checkpoint" in why(put(path, whole + b"#" * 100))
    assert "compressed" in why(put(path, rezipped(value, len, zipfile.ZIP_DEFLATED)))
    twice = rezipped(value, lambda entries: entries.update({"archive/data/1": b"x" * 400}))
    assert "a name twice" in why(put(path, twice.replace(b"archive/data/1", b"archive/data/0")))
    name = bytearray(rezipped(value, len))
    name[name.index(b"archive/data/0") + 13] += 1
    assert "disagree" in why(put(path, name))
    assert "lacks the tensor" in why(
        put(path, rezipped(value, lambda entries: entries.pop("archive/data/0")))
    )
    short = rezipped(value, lambda entries: entries.update({"archive/data/0": b"x" * 399}))
    assert "another length" in why(put(path, short))


def test_a_flipped_bit_of_the_weights(tmp_path: Path) -> None:
    value = {"format": checkpoint.FORMAT, "version": 1, "recipe": {}, "state_dict": VALUE["half"]}
    whole = saved({**value, "state_dict": {"w": torch.arange(100.0)}})
    place = whole.index(struct.pack("<f", 50.0))
    path = put(tmp_path / "x.pth", whole)
    assert checkpoint.load(path)["state_dict"]["w"][50] == 50
    whole[place] ^= 1
    assert "data/0' is damaged" in why(put(path, whole))


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
@pytest.mark.parametrize("ending", [".pth", ".safetensors", ".onnx"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    assert ("a folder" if kind == "folder" else "no regular file") in why(path)


def test_a_tar_archive(tmp_path: Path) -> None:
    """Torch unpacks it into a folder, where it follows hard links to any file."""
    victim = put(tmp_path / "victim", b"mine")
    victim.chmod(0o600)
    path = tmp_path / "x.pth"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        link = tarfile.TarInfo("storages")
        link.type, link.linkname, link.mode = tarfile.LNKTYPE, str(victim), 0o777
        archive.addfile(link)
    assert "a tar archive" in why(path)
    assert victim.stat().st_mode & 0o777 == 0o600
    assert victim.stat().st_nlink == 1


def test_a_storage_whose_key_is_no_text(tmp_path: Path) -> None:
    """Before torch 1.6 the keys of all storages stood in a pickle behind that of the value."""
    content = bytes(saved({"w": torch.ones(4)}, **{OLD: False}))
    stream = io.BytesIO(content)
    for _ in range(4):  # magic number, version, machine, value
        list(pickletools.genops(stream))
    begin = stream.tell()
    (key,) = pickle.load(stream)
    twisted = pickle.dumps([int(key)]) + content[stream.tell() :]
    assert "its list of tensors" in why(put(tmp_path / "x.pth", content[:begin] + twisted))


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\4tQ"


def pickled(body: bytes) -> bytes:
    """A checkpoint of four numbers with this pickle."""
    return rezipped(
        {"w": torch.zeros(4)},
        lambda entries: entries.update({"archive/data.pkl": b"\x80\2" + body + b"."}),
    )


def shaped(offset: int, size: int, stride: int) -> bytes:
    return (
        TENSOR
        + b"("
        + STORAGE
        + b"J%bJ%b\x85J%b\x85\x89}tR" % tuple(struct.pack("<i", n) for n in (offset, size, stride))
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (TENSOR + b"}X\1\0\0\0aK\1sb", "objects other than tensors"),  # BUILD of a function
        (b"}}b" + STORAGE + b"}b", "sets attributes of a Tensor"),
        (b"(X\6\0\0\0modulectorch\nFloatStorage\nX\4\0\0\0x.pyX\1\0\0\0atQ", "other than a tensor"),
        (shaped(0, 4, 1), None),
        (shaped(0, 5, 1), "beyond its storage"),
        (shaped(1, 4, 1), "beyond its storage"),
        (shaped(-1, 2, 1), "without a shape"),
        (shaped(3, 4, -1), "without a shape"),
        (shaped(0, 1 << 30, 0), "larger than the file"),
        (b"ios\nsystem\n", "instruction INST"),
        (b"cos\nsystem\n(X\4\0\0\0truetR", "os.system"),
        (b"c\x1b[31m\nx\n", "objects other than tensors"),
        (b"]" * 200 + b"a" * 199, "nested more than"),
        (b"]ae", "nothing to work on"),
        (b"]\x94h\0a", "nested more than"),  # a list within itself
        (b"N" * 1_000_010, "instructions"),
        (b"\x8a\x09" + b"\1" * 9, "64 bits"),
        (b"}" + b"]NaNs", "keys that are no names"),
        (b"}" + b"]Ns", "keys that are no names"),
        (b"NN", "before it is complete"),
        (b"\x8d" + b"\xff" * 8, "cut off"),
    ],
)
def test_pickles_that_are_none_of_a_checkpoint(
    tmp_path: Path, body: bytes, reason: str | None
) -> None:
    path = put(tmp_path / "x.pth", pickled(body))
    if reason is None:
        read(path)
        return
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert not vars(torch._utils._rebuild_tensor_v2)
    assert [each.name for each in tmp_path.iterdir()] == ["x.pth"]


def test_what_unfolds_without_end(tmp_path: Path) -> None:
    """Each list contains the one before it ten times: 250 bytes, 10 to the 20 values."""
    lists = b"".join(b"](" + b"h%c" % number * 10 + b"e\x94" for number in range(20))
    with pytest.raises(CheckpointError, match="unfolds to more than"):
        read(put(tmp_path / "x.pth", pickled(b"(]\x94" + lists + b"t")))
