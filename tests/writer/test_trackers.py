"""Comet and MLflow: what they are called with, and what the real ones keep where installed.

The stand-ins have the signatures of comet_ml 3.58.8 and mlflow-skinny 3.17.2.
"""

from __future__ import annotations

import builtins
import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pandas as pd
import pytest

from deepspeech2.errors import ConfigError
from deepspeech2.writer import CometWriter, MlflowWriter
from tests.writer.test_writers import BEST, use

CONFIG = {"trainer": {"seed": 1, "freeze": None}, "optimizer": {"lr": 0.1}}
Calls = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model_best.pth"
    path.write_bytes(b"weights")
    return path


class Experiment:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def get_key(self) -> str:
        return "k" * 32

    def log_metrics(
        self, dic: dict[str, Any], prefix: str | None = None, step: int | None = None,
        epoch: int | None = None, include_context: bool = True,
    ) -> None:  # fmt: skip
        self.calls.append(("metrics", {"step": step, **dic}))

    def log_table(
        self, filename: str, tabular_data: Any = None, headers: Any = False, **format_kwargs: Any
    ) -> None:
        self.calls.append(("table", {"filename": filename, "rows": len(tabular_data)}))

    def log_figure(
        self, figure_name: str | None = None, figure: Any = None, overwrite: bool = False,
        step: int | None = None, metadata: Any = None, format: str = "auto",
    ) -> None:  # fmt: skip
        self.calls.append(("figure", {"figure_name": figure_name, "step": step}))

    def log_audio(
        self, audio_data: Any, sample_rate: int | None = None,
        normalize_data: str = "PCM_16_BIT", file_name: str | None = None, metadata: Any = None,
        overwrite: bool = False, copy_to_tmp: bool = True, step: int | None = None,
    ) -> None:  # fmt: skip
        self.calls.append(("audio", {"file_name": file_name, "sample_rate": sample_rate}))

    def log_other(self, key: Any, value: Any) -> None:
        self.calls.append(("other", {key: value}))

    def log_model(
        self, name: str, file_or_folder: Any, file_name: str | None = None,
        overwrite: bool = False, metadata: Any = None, copy_to_tmp: bool = True,
        prepend_folder_name: bool = True,
    ) -> None:  # fmt: skip
        self.calls.append(("model", {name: Path(file_or_folder).name}))

    def log_parameters(
        self, parameters: dict[str, Any], prefix: str | None = None, step: int | None = None,
        nested_support: bool = True,
    ) -> None:  # fmt: skip
        self.calls.append(("parameters", parameters))

    def end(self) -> None:
        self.calls.append(("end", {}))


class Settings(NamedTuple):
    """``comet_ml.ExperimentConfig``, as far as it is used."""

    log_code: bool | None = None
    log_graph: bool | None = None
    parse_args: bool | None = None
    display_summary_level: int = 1
    log_git_metadata: bool | None = None
    log_git_patch: bool | None = None
    auto_output_logging: str = "simple"
    auto_param_logging: bool = True
    auto_metric_logging: bool = True
    offline_directory: str | None = None
    name: str | None = None
    tags: list[str] | None = None


@pytest.fixture
def comet(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls: Calls = []

    def start(
        api_key: str | None = None, workspace: str | None = None, project: str | None = None,
        project_name: str | None = None, experiment_key: str | None = None,
        mode: str | None = None, online: bool | None = None, source: str | None = None,
        experiment_config: Settings | None = None,
    ) -> Experiment:  # fmt: skip
        assert experiment_config is not None
        shown = {"name": experiment_config.name, "tags": experiment_config.tags}
        key = {"experiment_key": experiment_key, "mode": mode, "online": online}
        calls.append(("start", {"workspace": workspace, "project": project, **key, **shown}))
        return Experiment(calls)

    module: Any = ModuleType("comet_ml")
    module.start, module.ExperimentConfig = start, Settings
    module.get_config = lambda name: {"comet.api_key": "secret"}[name]
    monkeypatch.setitem(sys.modules, "comet_ml", module)
    return calls


def test_comet_is_called_with_everything(comet: Calls, tmp_path: Path, checkpoint: Path) -> None:
    labels: dict[str, Any] = {"group": "g", "tags": ["a"], "notes": "why", "checkpoints": True}
    writer = CometWriter("p", "n", workspace="w", run_dir=tmp_path, config=CONFIG, **labels)
    use(writer, 3)
    writer.result(BEST, checkpoint)
    writer.close()
    writer.close()
    use(writer)
    place = {"workspace": "w", "project": "p"}
    start = {"mode": "get_or_create", "online": True, "name": "n", "tags": ["a"]}
    parameters = {"trainer.seed": 1, "trainer.freeze": "null", "optimizer.lr": 0.1}
    assert comet == [
        ("start", {**place, **start, "experiment_key": None}),
        ("parameters", parameters),
        ("other", {"group": "g"}),
        ("other", {"notes": "why"}),
        ("metrics", {"step": 3, "train/loss": 0.5, "val/WER_(Argmax)": 0.25}),
        ("table", {"filename": "examples_val.csv", "rows": 2}),
        ("figure", {"figure_name": "loss", "step": 3}),
        ("audio", {"file_name": "before.wav", "sample_rate": 16000}),
        *(("other", {name: value}) for name, value in BEST.items()),
        ("model", {"n": "model_best.pth"}),
        ("end", {}),
    ]
    # resumed by the key that it has left
    comet.clear()
    CometWriter("p", "n", run_dir=tmp_path, resume_step=3).close()
    assert comet[0][1]["experiment_key"] == "k" * 32


class Client:
    """``mlflow.MlflowClient``."""

    calls: Calls

    def __init__(
        self, tracking_uri: str | None = None, registry_uri: str | None = None,
        workspace_store_uri: str | None = None,
    ) -> None:  # fmt: skip
        self.calls.append(("client", {"tracking_uri": tracking_uri}))

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Any = None
    ) -> str:
        self.calls.append(("experiment", {"name": name}))
        return "7"

    def create_run(
        self, experiment_id: str, start_time: int | None = None, tags: Any = None,
        run_name: str | None = None,
    ) -> Any:  # fmt: skip
        self.calls.append(("run", {"experiment": experiment_id, "tags": tags, "name": run_name}))
        return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        self.calls.append(("update", {"run_id": run_id, "status": status}))

    def log_batch(
        self, run_id: str, metrics: Sequence[Any] = (), params: Sequence[Any] = (),
        tags: Sequence[Any] = (), synchronous: bool | None = None,
    ) -> None:  # fmt: skip
        assert len(params) <= 100
        self.calls.append(("metrics", {each.key: (each.value, each.step) for each in metrics}))
        self.calls.append(("params", {each.key: each.value for each in params}))
        self.calls.append(("tags", {each.key: each.value for each in tags}))

    def log_figure(
        self, run_id: str, figure: Any, artifact_file: str, *, save_kwargs: Any = None
    ) -> None:
        self.calls.append(("figure", {"file": artifact_file}))

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        self.calls.append(("text", {"file": artifact_file, "lines": text.count("\n")}))

    def log_artifact(self, run_id: str, local_path: str, artifact_path: Any = None) -> None:
        assert Path(local_path).stat().st_size
        self.calls.append(("artifact", {artifact_path: Path(local_path).name}))

    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        self.calls.append(("end", {"run_id": run_id}))


class Metric(NamedTuple):
    key: str
    value: float
    timestamp: int
    step: int


class Param(NamedTuple):
    key: str
    value: str


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls: Calls = []
    module: Any = ModuleType("mlflow")
    module.MlflowClient = type("MlflowClient", (Client,), {"calls": calls})
    module.entities = SimpleNamespace(Metric=Metric, Param=Param, RunTag=Param)
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("HTTP_REQUEST_MAX_RETRIES", "HTTP_REQUEST_TIMEOUT", "DISABLE_TELEMETRY"):
        monkeypatch.setenv(f"MLFLOW_{name}", "1")
    return calls


def test_mlflow_is_called_with_everything(mlflow: Calls, tmp_path: Path, checkpoint: Path) -> None:
    labels: dict[str, Any] = {"group": "g", "tags": {"a": 1}, "notes": "why", "checkpoints": True}
    address = "http://tracking.test"
    writer = MlflowWriter("p", "n", tracking_uri=address, run_dir=tmp_path, config=CONFIG, **labels)
    use(writer, 3)
    writer.result(BEST, checkpoint)
    writer.close()
    writer.close()
    use(writer)
    tags = {"group": "g", "a": "1", "mlflow.note.content": "why"}
    best = {name.replace("(", "").replace(")", ""): str(value) for name, value in BEST.items()}
    assert [(name, given) for name, given in mlflow if given] == [
        ("client", {"tracking_uri": address}),
        ("experiment", {"name": "p"}),
        ("run", {"experiment": "7", "tags": tags, "name": "n"}),
        ("params", {"trainer.seed": "1", "trainer.freeze": "null", "optimizer.lr": "0.1"}),
        ("metrics", {"train/loss": (0.5, 3), "val/WER_Argmax": (0.25, 3)}),
        ("text", {"file": "tables/examples_val.csv", "lines": 3}),
        ("figure", {"file": "plots/loss.png"}),
        ("artifact", {"audio": "before.wav"}),
        ("tags", best),
        ("artifact", {"checkpoints": "model_best.pth"}),
        ("end", {"run_id": "r1"}),
    ]
    mlflow.clear()
    MlflowWriter("p", "n", tracking_uri=address, run_dir=tmp_path, resume_step=3).close()
    assert mlflow[1] == ("update", {"run_id": "r1", "status": "RUNNING"})


@pytest.mark.parametrize(("kind", "package"), [(CometWriter, "comet_ml"), (MlflowWriter, "mlflow")])
def test_a_package_that_is_absent_is_one_sentence_with_the_command(
    kind: Any, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def refuse(name: str, *given: Any, **named: Any) -> Any:
        if name == package:
            raise ImportError("gone")
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    command = r"pip install -r requirements-trackers\.txt"
    with pytest.raises(ConfigError, match=f"{package} cannot be imported .*{command}"):
        kind("p", "n", run_dir=tmp_path)
    with pytest.raises(ConfigError, match=r"writer\.mode must be one of online.*'loud'"):
        kind("p", "n", "loud", run_dir=tmp_path)
    use(kind("p", "n", "disabled", run_dir=tmp_path))


def test_a_server_that_is_away_costs_the_tracker_alone(
    comet: Calls, mlflow: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, checkpoint: Path,
) -> None:  # fmt: skip
    def away(*_: object, **__: object) -> None:
        raise ConnectionError("no such host\nsecond line")

    monkeypatch.setattr(sys.modules["comet_ml"], "start", away)
    monkeypatch.setattr(sys.modules["mlflow"].MlflowClient, "get_experiment_by_name", away)
    writers = [
        CometWriter("p", "n", run_dir=tmp_path),
        MlflowWriter("p", "n", tracking_uri="http://tracking.test", run_dir=tmp_path),
    ]
    assert caplog.text.count("does not start, the run goes on without it") == 2
    assert "second line" not in caplog.text
    for writer in writers:
        use(writer)
        writer.result(BEST, checkpoint)
        writer.close()


@pytest.mark.filterwarnings("ignore")  # of the real packages and what they import
def test_the_real_mlflow_keeps_a_run_in_its_folder(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    many = {"many": dict.fromkeys(map(str, range(250)), "x" * 1000)}
    writer = MlflowWriter("p", "n", run_dir=tmp_path, config={**CONFIG, **many}, checkpoints=True)
    use(writer, 3)
    writer.close()
    writer = MlflowWriter(
        "p", "n", run_dir=tmp_path, config=CONFIG, resume_step=3, checkpoints=True
    )
    use(writer, 4)
    writer.result(BEST, checkpoint)
    writer.close()
    client = real.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    run_id = (tmp_path / "mlflow_run_id.txt").read_text("utf-8").strip()
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("n", "FINISHED")
    assert len(run.data.params) == 253
    history = client.get_metric_history(run_id, "val/WER_Argmax")
    assert [(each.step, each.value) for each in history] == [(3, 0.25), (4, 0.25)]
    assert run.data.tags["best/val_WER_Argmax"] == "0.2"
    artifacts = tmp_path / "mlflow" / "artifacts" / run_id / "artifacts"
    assert (artifacts / "checkpoints" / "model_best.pth").read_bytes() == b"weights"
    assert pd.read_csv(artifacts / "tables" / "examples_val.csv").shape == (2, 3)
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.filterwarnings("ignore")  # of the real packages and what they import
def test_the_real_comet_writes_an_archive(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("comet_ml")
    monkeypatch.delenv("COMET_API_KEY", raising=False)
    monkeypatch.setenv("COMET_CONFIG", str(tmp_path / "none"))
    writer = CometWriter("p", "n", "offline", run_dir=tmp_path, config=CONFIG, checkpoints=True)
    use(writer, 3)
    writer.result(BEST, checkpoint)
    writer.close()
    (archive,) = (tmp_path / "comet").glob("*.zip")
    with zipfile.ZipFile(archive) as content:
        names = content.namelist()
        messages = content.read("messages.json").decode()
    logged = [json.loads(line) for line in messages.splitlines()]
    assert "val/WER_(Argmax)" in messages
    assert "best/val_WER_(Argmax)" in messages
    assert len(logged) > 5
    assert len(names) > 4  # the table, the figure, the recording and the weights
