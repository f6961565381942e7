"""From text to a language model, into the decoder, tuned, and into the report."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepspeech2 import checkpoint
from tests.system.conftest import Run
from tests.toy import ROOT, WORDS

pytestmark = pytest.mark.slow
PREDICTIONS = ROOT / "data" / "saved"


@pytest.fixture
def save_path(request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"test-{request.node.name}"
    shutil.rmtree(PREDICTIONS / name, ignore_errors=True)
    yield name
    shutil.rmtree(PREDICTIONS / name, ignore_errors=True)


@pytest.fixture
def arpa(quick_command: Run, tmp_path: Path) -> Path:
    """A model of the toy corpus' words, but for one."""
    text = tmp_path / "text.txt"
    phrases = itertools.product([word for word in WORDS if word != "bc"], repeat=3)
    text.write_text("".join(" ".join(words) + "\n" for words in phrases), encoding="utf-8")
    output = tmp_path / "toy.arpa"
    result = quick_command(
        "scripts/train_lm.py", str(text), "--order", "2", "--output", str(output)
    )
    assert result.returncode == 0, result.stderr
    return output


def common(toy_run: Path, model: Path, save_path: str) -> list[str]:
    return [
        "datasets=manifest",
        "~datasets.train",
        f"data_dir={toy_run.parent / 'data'}",
        f"inferencer.from_pretrained={model}",
        f"inferencer.save_path={save_path}",
        "inferencer.override=true",
        "inferencer.threads=1",
        "dataloader.num_workers=0",
    ]


def rates(result: subprocess.CompletedProcess[str]) -> dict[str, float]:
    """WER by decoder from the first table."""
    table = result.stdout.split("\n\n")[0].splitlines()[-6:]
    rows = [line.split("  ") for line in table if "%" in line]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {row[1]: float(row[3].split()[0]) for row in cells}


def test_a_language_model_in_the_report(
    quick_command: Run, toy_run: Path, arpa: Path, save_path: str
) -> None:
    result = quick_command(
        "inference.py",
        "-cn=inference",
        *common(toy_run, toy_run / "model_best.pth", save_path),
        "decoder=beam_lm",
        f"decoder.lm={arpa}",
        "decoder.nbest=5",
        "decoder.beam_size=20",
        "decoder.hotwords=[CAB, nowhere]".replace("nowhere", "aaaa"),
    )
    assert result.returncode == 0, result.stderr
    found = rates(result)
    assert list(found) == [
        "Argmax", "BeamSearch", "BeamSearchLM", "BeamSearchLM, best of n-best",
    ]  # fmt: skip
    assert found["BeamSearchLM, best of n-best"] <= found["BeamSearchLM"]
    budget = next(line for line in result.stdout.splitlines() if "Points of WER" in line)
    rows = result.stdout.split(budget)[1].splitlines()
    for row in rows[3:6]:
        _, name, total, *parts, words = row.split()
        assert int(words) > 0
        assert float(total) == pytest.approx(found[name], abs=0.01)
        assert sum(map(float, parts)) == pytest.approx(float(total), abs=0.05)
    files = sorted((PREDICTIONS / save_path / "val").glob("*.json"))
    heard = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    assert len(heard) == 8
    n_cab = 0
    for prediction in heard:
        assert 1 < len(prediction["nbest"]) <= 5
        assert prediction["nbest"][0]["pred_text"] == prediction["pred_text"]
        for entry in (prediction, *prediction["nbest"]):
            key = "pred_text"
            assert [word["word"] for word in entry["words"]] == entry[key].split()
            times = [time for word in entry["words"] for time in (word["start"], word["end"])]
            assert times == sorted(times)
            assert all(0 <= word["confidence"] <= 1 for word in entry["words"])
        assert prediction["hotwords"] == (
            ["cab"] if "cab" in prediction["pred_text"].split() else []
        )
        n_cab += len(prediction["hotwords"])
    assert n_cab
    assert result.stdout.split("hot phrase")[1].split()[-3:] == ["val", "cab", str(n_cab)]


def told(report: Path) -> tuple[dict[str, Any], float]:
    """The decoder that tuning chose and what it reached, held against all that was tried."""
    content = json.loads(report.read_text(encoding="utf-8"))
    trials, chosen = content["trials"], content["decoder"]
    assert len({json.dumps(trial, sort_keys=True) for trial in trials}) == len(trials) > 12
    weights = ("lm_weight", "word_score", "prior_weight", "unknown_score", "beam_size")
    reached = next(trial for trial in trials if all(chosen[key] == trial[key] for key in weights))
    assert reached["wer"] <= min(trial["wer"] for trial in trials) + 0.0005
    assert {0.0, 0.4} < {trial["prior_weight"] for trial in trials}
    assert len(chosen["prior"]) == 29  # the blank and the alphabet
    assert sum(chosen["prior"]) == pytest.approx(1.0, abs=1e-5)
    return chosen, reached["wer"]


def test_tuning_writes_what_inference_uses(
    quick_command: Run, toy_run: Path, arpa: Path, tmp_path: Path, save_path: str
) -> None:
    model = tmp_path / "model.pth"
    shutil.copy(toy_run / "model_best.pth", model)
    words = [
        *common(toy_run, model, save_path),
        f"decoder.lm={arpa}",
        "tuner.lm_weight=[0.0,0.5,1.0]",
        "tuner.word_score=[0.0,1.0]",
        "tuner.prior_weight=[0.0,0.4]",
        "tuner.unknown_score=[-2.0,null]",
        "tuner.beam_size=[2,8]",
        "tuner.refinements=1",
        "tuner.search_beam_size=4",
        f"tuner.emissions_dir={tmp_path / 'emissions'}",
    ]
    result = quick_command("scripts/tune_decoder.py", *words)
    assert result.returncode == 0, result.stderr
    assert "now decodes with these weights" in result.stdout
    assert (tmp_path / "model.tuning.png").stat().st_size > 10_000
    chosen, wer = told(tmp_path / "model.tuning.json")
    before, after = (checkpoint.load(path) for path in (toy_run / "model_best.pth", model))
    assert after["recipe"]["decoder"] == {"name": "LanguageModelDecoder", **chosen}
    assert before["state_dict"].keys() == after["state_dict"].keys()
    (kept,) = (tmp_path / "emissions").iterdir()
    assert kept.suffix == ".pt"

    result = quick_command("inference.py", "-cn=inference", *common(toy_run, model, save_path))
    assert result.returncode == 0, result.stderr
    assert rates(result)["BeamSearchLM"] == pytest.approx(100 * wer, abs=0.01)
    result = quick_command(
        "inference.py", "-cn=inference", *common(toy_run, model, save_path), "decoder.nbest=1",
        "decoder.hotwords={cab: 3}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "best of n-best" not in result.stdout
    assert "hot phrase" in result.stdout

    # without its language model the checkpoint says what to do
    arpa.rename(arpa.with_name("elsewhere.arpa"))
    refused = quick_command("inference.py", "-cn=inference", *common(toy_run, model, save_path))
    assert refused.returncode == 2
    assert "toy.arpa does not exist" in refused.stderr
    assert "decoder=beam needs nothing else" in refused.stderr
    assert "Traceback" not in refused.stderr
    for choice in ("decoder=beam", f"decoder.lm={tmp_path / 'elsewhere.arpa'}"):
        words = [*common(toy_run, model, save_path), choice]
        assert quick_command("inference.py", "-cn=inference", *words).returncode == 0


def test_what_cannot_be_is_said(
    quick_command: Run, toy_run: Path, arpa: Path, save_path: str
) -> None:
    words = common(toy_run, toy_run / "model_best.pth", save_path)
    for program, changes, message in (
        ("scripts/tune_decoder.py", ["decoder=greedy"], "has no language model to weigh"),
        ("scripts/tune_decoder.py", ["decoder.lm=no.arpa"], "decoder.lm=no.arpa does not exist"),
        (
            "scripts/tune_decoder.py",
            [f"decoder.lm={arpa}", "tuner.lm_weight=[]"],
            "tuner.lm_weight must be a list, each value",
        ),
        ("inference.py", ["decoder.hotwords=[cab]"], "takes no such option; choose decoder=beam"),
        ("inference.py", ["decoder=beam", "decoder.hotwords=[42]"], "contains '2'"),
    ):
        result = quick_command(program, *words, *changes)
        assert result.returncode == 2, result.stdout + result.stderr
        assert message in result.stderr
        assert "Traceback" not in result.stderr
