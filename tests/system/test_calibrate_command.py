"""scripts/calibrate.py on the toy corpus, and what inference.py then tells."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest

from deepspeech2 import checkpoint
from deepspeech2.inference.calibration import Calibration
from tests.system.conftest import Run
from tests.toy import ROOT

SCRIPT = "scripts/calibrate.py"
PREDICTIONS = ROOT / "data" / "saved"


@pytest.fixture
def save_path(request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"test-{request.node.name}"
    shutil.rmtree(PREDICTIONS / name, ignore_errors=True)
    yield name
    shutil.rmtree(PREDICTIONS / name, ignore_errors=True)


@pytest.fixture
def model(toy_run: Path, tmp_path: Path) -> Path:
    """The toy model, made to err by noise on its last layer, and beside it a list of recordings."""
    path = tmp_path / "model.pth"
    data = toy_run.parent / "data"
    rows = [json.loads(row) for row in (data / "train.jsonl").read_text("utf-8").splitlines()]
    for row in rows:
        row["audio_filepath"] = str(data / row["audio_filepath"])
    listed = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "heard.jsonl").write_text(listed, encoding="utf-8")
    content = checkpoint.load(toy_run / "model_best.pth")
    weights = content["state_dict"]
    draw = np.random.default_rng(0)
    bias = weights["network.output.bias"]
    noise = draw.normal(0, 4.0, bias.shape).astype(np.float32)
    weights["network.output.bias"] = bias + bias.new_tensor(noise.tolist())
    checkpoint.save(content, path)
    return path


def common(toy_run: Path, model: Path, *more: str) -> list[str]:
    return [
        "datasets=manifest",
        "~datasets.train",
        f"datasets.val.manifest={model.parent / 'heard.jsonl'}",
        f"data_dir={toy_run.parent / 'data'}",
        f"inferencer.from_pretrained={model}",
        "inferencer.threads=1",
        "inferencer.device=cpu",
        "dataloader.num_workers=0",
        *more,
    ]


def predictions(save_path: str) -> dict[str, dict[str, Any]]:
    files = sorted((PREDICTIONS / save_path / "heard").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def test_calibrated_inference(
    quick_command: Run, toy_run: Path, model: Path, save_path: str
) -> None:
    recognise = common(
        toy_run, model, f"inferencer.save_path={save_path}", "inferencer.override=true",
    )  # fmt: skip
    assert quick_command("inference.py", "-cn=inference", *recognise).returncode == 0
    raw = predictions(save_path)
    assert "rejected" not in next(iter(raw.values()))

    before = model.read_bytes()
    tried = quick_command(SCRIPT, *common(toy_run, model, "calibrator.write=false"))
    assert tried.returncode == 0, tried.stderr
    assert model.read_bytes() == before
    result = quick_command(SCRIPT, *common(toy_run, model))
    assert result.returncode == 0, result.stderr
    assert f"{model} now has calibrated confidences" in result.stdout
    assert model.with_suffix(".calibration.png").stat().st_size > 10_000
    told = json.loads(model.with_suffix(".calibration.json").read_text(encoding="utf-8"))
    (part,) = told["parts"].values()
    n_words = sum(len(each["pred_text"].split()) for each in raw.values())
    assert part["Argmax"]["words"] == n_words
    kept = checkpoint.load(model)["calibration"]["Argmax"]
    one = Calibration(kept["temperature"], kept["bias"])

    # the same transcripts, and confidences as the formula has them
    means = [np.mean(one([w["confidence"] for w in each["words"]])) for each in raw.values()]
    limit = round(float(np.median(means)), 3)
    words = [*recognise, f"inferencer.reject_below={limit}"]
    result = quick_command("inference.py", "-cn=inference", *words)
    assert result.returncode == 0, result.stderr
    found = predictions(save_path)
    assert found.keys() == raw.keys()
    for name, each in found.items():
        assert each["pred_text"] == raw[name]["pred_text"]
        expected = one([word["confidence"] for word in raw[name]["words"]])
        confidences = [word["confidence"] for word in each["words"]]
        np.testing.assert_allclose(confidences, expected, atol=2e-3)
        mean = np.mean(confidences) if confidences else 0.0
        assert each["confidence"] == pytest.approx(mean, abs=1e-4)
        assert each["rejected"] == (each["confidence"] < limit)
    accepted = [each for each in found.values() if not each["rejected"]]
    assert 0 < len(accepted) < len(found)
    assert any(each["pred_text"] != each["text"] for each in found.values())
    wer = 100 * jiwer.wer([e["text"] for e in accepted], [e["pred_text"] for e in accepted])
    assert f"{len(found) - len(accepted)} of {len(found)} rejected" in result.stdout
    assert f"WER {wer:.2f} %" in result.stdout
    assert "not calibrated" not in result.stderr


def test_raw_confidences_are_warned_of(
    quick_command: Run,
    toy_run: Path,
    model: Path,
    save_path: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    words = common(
        toy_run, model, f"inferencer.save_path={save_path}", "inferencer.reject_below=0.5",
    )  # fmt: skip
    assert quick_command("inference.py", "-cn=inference", *words).returncode == 0
    assert "confidences of Argmax are not calibrated" in caplog.text


def test_bad_input(quick_command: Run, toy_run: Path, model: Path, tmp_path: Path) -> None:
    def error(*more: str) -> str:
        result = quick_command(SCRIPT, *common(toy_run, model, *more))
        assert result.returncode == 2
        assert "Traceback" not in result.stdout + result.stderr
        (line,) = [each for each in result.stderr.splitlines() if each.startswith("error: ")]
        return line

    lone = (
        "+datasets.test={_target_: deepspeech2.datasets.ManifestCorpus,"
        " manifest: val.jsonl, data_dir:"
    )
    place = f"{toy_run.parent / 'data'}" + "}"
    only_test = error("~datasets.val", f"{lone} {place}")
    assert "datasets must name a part to fit on" in only_test
    assert "calibrator.folds must be a whole number of at least 2, but is 1" in error(
        "calibrator.folds=1"
    )
    assert "too few to calibrate" in error("datasets.val.limit=4")
    assert "calibrator.reject_below must be a list, each value a number" in error(
        "calibrator.reject_below=[2]"
    )
    learnt = error("datasets.val.manifest=train.jsonl", "datasets.val.limit=20")
    assert f"datasets.val is what {model} has learnt from" in learnt
    silent = tmp_path / "silent.jsonl"
    rows = (toy_run.parent / "data" / "val.jsonl").read_text(encoding="utf-8").splitlines()
    whole = [json.loads(row) for row in rows]
    for row in whole:
        row["audio_filepath"] = str(toy_run.parent / "data" / row["audio_filepath"])
        row.pop("text")
    silent.write_text("".join(json.dumps(row) + "\n" for row in whole), encoding="utf-8")
    unreferenced = error(f"datasets.val.manifest={silent}")
    assert "no utterance with a reference among its 8" in unreferenced
