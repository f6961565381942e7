"""The writers that show a run elsewhere, and those that hand on or swallow."""

from __future__ import annotations

import builtins
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from deepspeech2.errors import ConfigError
from deepspeech2.writer import (
    JsonlWriter,
    MultiWriter,
    NullWriter,
    TensorboardWriter,
    WandbWriter,
    Writer,
)
from deepspeech2.writer.wandb import MODES, effective_mode

ROOT = Path(__file__).resolve().parents[2]
WAVE = np.sin(np.arange(800, dtype=np.float32) / 8)


def use(writer: Writer, step: int = 1) -> None:
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([1, 2])
    writer.scalars({"train/loss": 0.5, "val/WER_(Argmax)": 0.25}, step)
    frame = pd.DataFrame({"id": ["a", "b"], "reference": ["x|y", None], "WER": [0.5, None]})
    writer.table("examples/val", frame, step)
    writer.figure("loss", figure, step)
    writer.audio("before", WAVE, 16000, step)


class Recorder:
    """Notes calls; raises each time if asked to."""

    def __init__(self, fails: bool = False) -> None:
        self.calls: list[str] = []
        self.fails = fails

    def __getattr__(self, name: str) -> Any:
        def call(*_: object) -> None:
            self.calls.append(name)
            if self.fails:
                raise OSError("no room")

        return call


def test_a_writer_that_fails_keeps_nobody_from_writing(caplog: pytest.LogCaptureFixture) -> None:
    writers = [Recorder(fails=True), Recorder(), Recorder(fails=True)]
    multi = MultiWriter(writers)
    use(multi)
    multi.close()
    expected = ["scalars", "table", "figure", "audio", "close"]
    assert [writer.calls for writer in writers] == [expected] * 3
    assert len(caplog.messages) == 2 * len(expected)
    assert all("no room" in message for message in caplog.messages)


def test_null_writer_writes_nothing(tmp_path: Path) -> None:
    writer = NullWriter("name", run_dir=tmp_path, config={}, resume_step=3)
    use(writer)
    writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def tensorboard_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("tensorboard")
    writer = TensorboardWriter("name", run_dir=run_dir, config={"seed": 1})
    for step in (1, 2, 3):
        use(writer, step)
    writer.close()
    writer = TensorboardWriter("name", run_dir=run_dir, resume_step=2)
    writer.scalars({"train/loss": 9.0}, 3)
    writer.close()
    return run_dir


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TensorBoard's own reader
def test_tensorboard_reads_back(tensorboard_run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tensorboard_run / "tensorboard"))
    events.Reload()
    losses = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert losses == [(1, 0.5), (2, 0.5), (3, 9.0)]
    tags = events.Tags()
    assert tags["images"] == ["loss"]
    assert tags["audio"] == ["before"]
    text = events.Tensors("examples/val/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| a | x\\|y | 0.5 |" in text
    assert '"seed": 1' in str(events.Tensors("config/text_summary")[0].tensor_proto.string_val)


@pytest.fixture
def no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "no-config"))


def test_wandb_refuses_another_mode(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"writer\.mode must be one of online.*'onlin'"):
        WandbWriter("p", mode="onlin", run_dir=tmp_path)


@pytest.mark.parametrize("name", ["a/b", "", " ", "a:b", "x" * 129])
def test_wandb_names_a_run_id_that_it_does_not_take(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"writer\.run_id must .*last part of the run's address"):
        WandbWriter("p", run_id=name, run_dir=tmp_path)


@pytest.mark.parametrize("kind", [WandbWriter, TensorboardWriter])
@pytest.mark.parametrize("error", [ImportError("gone"), RuntimeError("damaged")])
def test_a_tracker_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, error: Exception
) -> None:
    real = builtins.__import__

    def refuse(name: str, *given: Any, **named: Any) -> Any:
        if name in ("wandb", "torch.utils.tensorboard"):
            raise error
        return real(name, *given, **named)

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"cannot be imported .*set writer=none"):
        kind(project_name="p", mode="offline", run_dir=tmp_path)
    if kind is WandbWriter:
        use(WandbWriter("p", mode="disabled", run_dir=tmp_path))
        monkeypatch.setenv("WANDB_MODE", "disabled")
        use(WandbWriter("p", mode="online", run_dir=tmp_path))


def test_wandb_mode_of_the_environment_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of the two that sends less."""
    for given, expected in {
        "online": ["online", "offline", "disabled"],
        "run": ["online", "offline", "disabled"],
        "offline": ["offline", "offline", "disabled"],
        "dryrun": ["offline", "offline", "disabled"],
        "disabled": ["disabled"] * 3,
        "": ["online", "offline", "disabled"],
    }.items():
        monkeypatch.setenv("WANDB_MODE", given)
        assert [effective_mode(mode) for mode in MODES] == expected, given
    monkeypatch.setenv("WANDB_MODE", "onlin")
    with pytest.raises(ConfigError, match=r"WANDB_MODE must be .*'onlin'"):
        effective_mode("online")


@pytest.mark.usefixtures("no_key")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_wandb_without_a_key_goes_offline_and_survives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks"))
    run_dir = tmp_path / "run"
    with caplog.at_level(logging.INFO):
        writer = WandbWriter("p", "n", run_dir=run_dir, config={"seed": 1})
    assert "wandb login" in caplog.text
    assert "wandb sync" in caplog.text
    use(writer)
    assert "failed" not in caplog.text

    class Failing:
        calls = 0

        def log(self, *_: object, **__: object) -> None:
            Failing.calls += 1
            raise RuntimeError("service died")

    real, writer._run = writer._run, Failing()
    writer.scalars({"a": 1.0}, 2)
    writer.scalars({"a": 1.0}, 3)
    assert Failing.calls == 2
    assert caplog.text.count("service died") == 1
    writer._run = real
    writer.close()
    writer.close()
    use(writer)  # after closing: nothing happens

    (folder,) = (run_dir / "wandb").glob("offline-run-*")
    names = {path.suffix for path in (folder / "files" / "media").rglob("*") if path.is_file()}
    assert {".png", ".wav", ".json"} <= names
    run_id = (run_dir / "wandb_run_id.txt").read_text().strip()
    assert (folder / f"run-{run_id}.wandb").stat().st_size > 0

    resumed = WandbWriter("p", "n", run_dir=run_dir, resume_step=1)
    assert resumed._run.id == run_id
    resumed.close()


@pytest.mark.parametrize(("works", "modes"), [(True, ["online", "offline"]), (False, ["offline"])])
def test_wandb_without_a_network_goes_offline(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    works: bool,
    modes: list[str],
) -> None:
    """``works``: whether there is a key that looks right; then it is the server that is missing."""
    import wandb

    tried: list[str] = []

    def login(**_: object) -> bool:
        if not works:
            raise wandb.errors.AuthenticationError("WANDB_API_KEY invalid")
        return True

    def init(*, mode: str, **_: object) -> object:
        tried.append(mode)
        raise wandb.errors.CommError("no such host\nsecond line")

    monkeypatch.setattr(wandb, "login", login)
    monkeypatch.setattr(wandb, "init", init)
    writer = WandbWriter("p", run_dir=tmp_path)
    assert tried == modes
    assert "no such host" in caplog.text
    assert "second line" not in caplog.text
    use(writer)
    writer.close()


def test_only_the_writer_that_is_built_imports_its_library() -> None:
    code = (
        "import sys, deepspeech2.writer, deepspeech2.writer.base;"
        "print([name for name in ('wandb', 'tensorboard', 'matplotlib', 'pandas')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.replace("'", '"')) == []


def test_every_writer_is_a_writer(tmp_path: Path) -> None:
    """mypy checks the protocol; this does it for the tests, which mypy does not read."""
    wanted = {name for name in vars(Writer) if not name.startswith("_")}
    assert wanted == {"scalars", "table", "figure", "audio", "close"}
    for kind in (JsonlWriter, TensorboardWriter, WandbWriter, NullWriter, MultiWriter):
        assert wanted <= set(dir(kind))
