"""The writers that show a run elsewhere, and those that hand on or swallow."""

from __future__ import annotations

import builtins
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from deepspeech2.errors import ConfigError
from deepspeech2.writer import (
    CometWriter,
    CsvWriter,
    JsonlWriter,
    MlflowWriter,
    MultiWriter,
    NullWriter,
    TensorboardWriter,
    WandbWriter,
    Writer,
)
from deepspeech2.writer.base import goal
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


BEST = {"best/val_WER_(Argmax)": 0.2, "test/WER_(Argmax)": 0.3}


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


def test_what_fails_again_and_again_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Recorder(fails=True), Recorder()
    multi = MultiWriter([broken, sound])
    for step in range(20):
        multi.scalars({"train/loss": 1.0}, step)
    multi.close()
    assert broken.calls == ["scalars"] * MultiWriter.PATIENCE + ["close"]
    assert sound.calls == ["scalars"] * 20 + ["close"]
    assert caplog.text.count("it is not tried again") == 1
    # a failure now and then is no reason
    now_and_then = Recorder()
    multi = MultiWriter([now_and_then])
    for step in range(20):
        now_and_then.fails = step % 2 == 0
        multi.scalars({}, step)
    assert len(now_and_then.calls) == 20


def test_a_writer_of_a_user_may_lack_a_method() -> None:
    class Old:
        def close(self) -> None: ...

    multi = MultiWriter([Old()])  # type: ignore[list-item]
    multi.result({}, Path("model_best.pth"))
    multi.close()


def test_csv_has_a_row_for_each_step(tmp_path: Path) -> None:
    writer = CsvWriter("name", run_dir=tmp_path, config={})
    writer.scalars({"train/loss": 0.1}, 1)
    writer.scalars({"train/loss": float("nan")}, 2)
    writer.scalars({"val/WER_(Argmax)": 0.3}, 2)  # another line of the same step
    writer.scalars({"train/loss": 0.05, "val/WER_(Argmax)": 0.2}, 3)
    use(writer, 4)
    writer.close()
    read = pd.read_csv(tmp_path / "metrics.csv")
    assert list(read.columns) == ["step", "train/loss", "val/WER_(Argmax)"]
    expected = [[1, 0.1, np.nan], [2, np.nan, 0.3], [3, 0.05, 0.2], [4, 0.5, 0.25]]
    np.testing.assert_array_equal(read.to_numpy(), expected)

    writer = CsvWriter("name", run_dir=tmp_path, resume_step=2)
    writer.scalars({"train/loss": 9.0}, 3)
    writer.close()
    resumed = pd.read_csv(tmp_path / "metrics.csv")
    np.testing.assert_array_equal(resumed.to_numpy(), [*expected[:2], [3, 9.0, np.nan]])


def test_the_best_value_of_a_metric_is_the_smallest_or_what_the_monitor_asks_for() -> None:
    assert goal("val/WER_(Argmax)", None) == "min"
    assert goal("val_ema/loss", "off") == "min"
    assert goal("val/exact_(Argmax)", "max val_exact_(Argmax)") == "max"
    assert goal("val/exact_(Argmax)", None) is None
    assert goal("train/loss", "min val_loss") is None
    assert goal("epoch", "min val_loss") is None


def test_null_writer_writes_nothing(tmp_path: Path) -> None:
    writer = NullWriter("name", run_dir=tmp_path, config={}, resume_step=3)
    use(writer)
    writer.close()
    assert list(tmp_path.iterdir()) == []


CONFIG = {"trainer": {"seed": 1, "freeze": None}, "optimizer": {"lr": 0.1}}


@pytest.fixture(scope="module")
def tensorboard_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("tensorboard")
    writer = TensorboardWriter("name", run_dir=run_dir, config={"seed": 1})
    for step in (1, 2, 3):
        use(writer, step)
    writer.close()
    writer = TensorboardWriter("name", run_dir=run_dir, config=CONFIG, resume_step=2)
    writer.scalars({"train/loss": 9.0}, 3)
    writer.result(BEST, run_dir / "model_best.pth")
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TensorBoard's own reader
def test_tensorboard_shows_hyperparameters_with_results(tensorboard_run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    events = EventAccumulator(str(tensorboard_run / "tensorboard"))
    events.Reload()
    # in the run itself, and not in one beside it
    assert [path for path in (tensorboard_run / "tensorboard").iterdir() if path.is_dir()] == []
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    assert start.hparams["optimizer.lr"].number_value == 0.1
    assert start.hparams["trainer.freeze"].string_value == "null"
    content = events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    shown = metadata.parse_experiment_plugin_data(content)
    assert {each.name.tag for each in shown.metric_infos} == set(BEST)
    for name, value in BEST.items():
        assert events.Scalars(name)[-1].value == pytest.approx(value)


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


@pytest.mark.usefixtures("no_key")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_wandb_gets_group_summary_and_the_best_weights(tmp_path: Path) -> None:
    """What it wrote, as its own file of records has it."""
    labels: dict[str, Any] = {"group": "g", "tags": ["a", "b"], "notes": "why", "job_type": "train"}
    weights = tmp_path / "model_best.pth"
    weights.write_bytes(b"weights")
    monitor = "max val_exact_(Argmax)"
    writer = WandbWriter(
        "p", "n", "offline", run_dir=tmp_path, monitor=monitor, checkpoints=True, **labels
    )
    for step, value in enumerate((0.5, 0.2, 0.4)):
        writer.scalars({"val/WER_(Argmax)": value, "val/exact_(Argmax)": value}, step)
    writer.result(BEST, weights)
    writer.close()

    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    deadline = time.monotonic() + 30  # its service may still be writing
    while "exit" not in [each.WhichOneof("record_type") for each in records(path)]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found = records(path)
    run = next(each.run for each in found if each.WhichOneof("record_type") == "run")
    shown = {"group": run.run_group, "tags": list(run.tags), "notes": run.notes}
    assert {**shown, "job_type": run.job_type} == labels
    metrics = [each.metric for each in found if each.WhichOneof("record_type") == "metric"]
    smallest = {each.name for each in metrics if each.summary.min}
    largest = {each.name for each in metrics if each.summary.max}
    assert (smallest, largest) == ({"val/WER_(Argmax)"}, {"val/exact_(Argmax)"})
    artifacts = [each.artifact for each in found if each.WhichOneof("record_type") == "artifact"]
    files = [(entry.path, entry.size) for each in artifacts for entry in each.manifest.contents]
    assert files == [("model_best.pth", len(b"weights"))]
    summaries = [each.summary for each in found if each.WhichOneof("record_type") == "summary"]
    shown = {each.key: json.loads(each.value_json) for own in summaries for each in own.update}
    assert BEST.items() <= shown.items()


def records(path: Path) -> list[Any]:
    """The records in W&B's file: LevelDB's log format, behind seven bytes of its own."""
    from wandb.proto import wandb_internal_pb2

    content, place, found, whole = path.read_bytes(), 7, [], b""
    while place < len(content):
        left = 32768 - place % 32768
        if left < 7:  # no room for a header at the end of a block
            place += left
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            found.append(record)
            whole = b""
    return found


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
        "names = 'wandb', 'tensorboard', 'mlflow', 'comet_ml', 'matplotlib', 'pandas';"
        "print([name for name in names"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.replace("'", '"')) == []


def test_every_writer_is_a_writer(tmp_path: Path) -> None:
    """mypy checks the protocol; this does it for the tests, which mypy does not read."""
    wanted = {name for name in vars(Writer) if not name.startswith("_")}
    assert wanted == {"scalars", "table", "figure", "audio", "result", "close"}
    local = (JsonlWriter, CsvWriter, TensorboardWriter, NullWriter, MultiWriter)
    for kind in (*local, WandbWriter, CometWriter, MlflowWriter):
        assert wanted <= set(dir(kind))
