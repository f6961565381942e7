"""Nothing in a pickled checkpoint runs, whatever it says."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from deepspeech2 import checkpoint
from deepspeech2.checkpoint.safe_unpickle import Placeholder, plain, unpickle
from deepspeech2.checkpoint.torch_file import read as read_file
from deepspeech2.errors import CheckpointError
from deepspeech2.extras.interchange import convert

TRAP = "sprung"
read = partial(read_file, placeholders=True)


class Calls:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


def traps() -> list[Calls]:
    return [
        Calls(os.system, f"touch {TRAP}"),
        Calls(subprocess.check_output, ["touch", TRAP]),
        Calls(builtins.eval, f"open('{TRAP}', 'w').close()"),
        Calls(builtins.exec, f"open('{TRAP}', 'w').close()"),
        Calls(builtins.getattr, "text", "upper"),
        Calls(os.mkdir, TRAP),
        Calls(pickle.loads, pickle.dumps(Calls(os.mkdir, TRAP))),
    ]


@pytest.mark.parametrize("number", range(len(traps())))
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("reading", [read, convert, checkpoint.load])
def test_a_trap_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    legacy: bool,
    reading: Callable[[Path], Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    trap = traps()[number]
    torch.save(
        {"state_dict": {"final.weight": torch.zeros(2)}, "config": trap},
        "trap.pth",
        _use_new_zipfile_serialization=not legacy,
    )
    with pytest.raises(CheckpointError, match="nothing of it was") as caught:
        reading(Path("trap.pth"))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trap.pth"]


def test_the_traps_would_spring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above proves nothing."""
    monkeypatch.chdir(tmp_path)
    for trap in traps():
        pickle.loads(pickle.dumps(trap))
        if trap.function is not getattr:
            place = tmp_path / TRAP
            assert place.exists()
            place.rmdir() if place.is_dir() else place.unlink()


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.pth"
    path.write_bytes(pickle.dumps(Calls(os.mkdir, str(tmp_path / TRAP))))
    with pytest.raises(CheckpointError, match=r"bare\.pth"):
        read(path)
    assert not (tmp_path / TRAP).exists()


def test_classes_named_in_a_file_are_not_imported(tmp_path: Path) -> None:
    """A module that a checkpoint names would run as it is imported."""
    module = tmp_path / "model.py"
    module.write_text(f"open({str(tmp_path / TRAP)!r}, 'w').close()\nclass Network: pass\n")
    torch.save({"x": 1}, tmp_path / "x.pth")
    content = b"\x80\x02cmodel\nNetwork\n)\x81."  # an instance of model.Network
    torch_file = tmp_path / "named.pth"
    with zipfile.ZipFile(tmp_path / "x.pth") as source, zipfile.ZipFile(torch_file, "w") as target:
        for name in source.namelist():
            target.writestr(name, content if name.endswith("data.pkl") else source.read(name))
    assert read(torch_file).name == "model.Network"
    assert not (tmp_path / TRAP).exists()


def test_settings_are_unwrapped(tmp_path: Path) -> None:
    settings = {
        "model": {"n": 3, "rates": [0.5, None, True], "name": "${other}"},
        "other": "GRU",
        "where": Path("a/b"),
    }
    torch.save({"config": OmegaConf.create(settings), "plain": settings}, tmp_path / "x.pth")
    content = read(tmp_path / "x.pth")
    unwrapped = plain(content["config"])
    assert unwrapped["model"] == settings["model"]
    assert unwrapped["other"] == "GRU"
    assert type(unwrapped) is dict


def test_pairs_that_are_no_items() -> None:
    """A file may put anything into anything."""
    assert plain(Placeholder("x", items=[([], 1)])) == [[[], 1]]
    assert plain(Placeholder("x", items=[("a", 1)])) == {"a": 1}


def test_a_program_is_no_checkpoint(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:
        archive.writestr("program/constants.pkl", pickle.dumps(()))
    with pytest.raises(CheckpointError, match="TorchScript program"):
        read(tmp_path / "program.pt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.pth"):
        read(path)
    with pytest.raises(CheckpointError, match="does not exist"):
        read(tmp_path / "none.pth")


def test_an_odd_escape_is_no_warning_of_python_s() -> None:
    pickled = io.BytesIO(b"S'a\\\x05'\n.")
    warnings.simplefilter("error")  # until pytest puts its own filters back
    with pytest.raises(ValueError, match="its instruction STRING"):
        unpickle(pickled, lambda _: torch.zeros(0), room=0, placeholders=False)
