"""Several corpora in one training, as a user starts it: shares, report, resume, ranks."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
import torch

from deepspeech2 import checkpoint
from tests.engine.test_ranks import TORCHRUN
from tests.system.conftest import Run
from tests.system.test_kill import start, wait_for_step
from tests.toy import overrides, write_corpus

WEIGHTS = {"large": 0.4, "small": 0.6}


def corpus(data: Path, part: str) -> str:
    return (
        "{_target_: deepspeech2.datasets.ManifestCorpus,"
        f" data_dir: '{data}', manifest: {part}.jsonl}}"
    )


def mixed(data: Path, save_dir: Path, *more: str) -> list[str]:
    nodes = ", ".join(f"{part}: {corpus(data, part)}" for part in WEIGHTS)
    weights = ", ".join(f"{part}: {weight}" for part, weight in WEIGHTS.items())
    train = (
        f"{{_target_: deepspeech2.datasets.MixedCorpus, corpora: {{{nodes}}},"
        f" weights: {{{weights}}}}}"
    )
    changes = (
        "~datasets.train",
        f"+datasets.train={train}",
        "transforms=small",
        "model.dropout=0.1",
        "dataloader.max_batch_duration=4",
        "trainer.n_epochs=3",
        "trainer.log_step=1",
        "trainer.save_every=3",
    )
    return overrides(data, save_dir, *changes, *more)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Utterance ids are of the parts here; one of each corpus has the id of the other's."""
    folder = write_corpus(
        tmp_path_factory.mktemp("mixed"), {"large": 60, "small": 15, "val": 6, "other": 4}
    )
    for part in WEIGHTS:
        lines = (folder / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        rows[0]["id"] = "same"
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{part}.jsonl").write_text(text, encoding="utf-8")
    return folder


def same(one: Path, other: Path) -> bool:
    first, second = (checkpoint.load(path)["state_dict"] for path in (one, other))
    return all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_mix_is_reported_and_resumed_to_the_bit(data: Path, tmp_path: Path, ranks: int) -> None:
    """With two readers; stopped in the middle of an epoch."""
    launch = [*TORCHRUN, str(ranks)] if ranks > 1 else []
    words = mixed(data, tmp_path / "whole", "dataloader.num_workers=2")
    whole = start(*launch, "train.py", "-cn=an4", *words)
    _, error = whole.communicate(timeout=200)
    assert whole.returncode == 0, error
    log = (tmp_path / "whole" / "toy" / "info.log").read_text(encoding="utf-8")
    hours = 0.0
    for part, weight in WEIGHTS.items():
        (line,) = re.findall(rf"datasets\.train\.{part}: \d+ utterances, .* an epoch\n", log)
        assert f"{100 * weight:.1f} % of an epoch asked for" in line
        drawn = re.search(r"([\d.]+) % \(([\d.]+) h\) drawn", line)
        assert drawn
        assert abs(float(drawn[1]) - 100 * weight) < 1
        hours += float(drawn[2])
    assert hours > 0

    words = mixed(data, tmp_path / "parts", "dataloader.num_workers=2", "trainer.resume_from=auto")
    run = tmp_path / "parts" / "toy"
    total = checkpoint.load(tmp_path / "whole" / "toy" / "checkpoint-last.pth")["step"]
    stopped = start(*launch, "train.py", "-cn=an4", *words)
    wait_for_step(run, total // 2, stopped)
    stopped.send_signal(signal.SIGTERM)
    stopped.communicate(timeout=100)
    assert stopped.returncode != 0
    assert 0 < checkpoint.load(run / "checkpoint-last.pth")["step"] < total
    resumed = start(*launch, "train.py", "-cn=an4", *words)
    _, error = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, error
    assert same(tmp_path / "whole" / "toy" / "checkpoint-last.pth", run / "checkpoint-last.pth")

    other = [each.replace("large: 0.4", "large: 0.5") for each in words]
    refused = start("train.py", "-cn=an4", *other)
    _, error = refused.communicate(timeout=100)
    assert refused.returncode == 2
    assert "trained with datasets.train.shares=large (60 utterances)" in error


def test_a_list_is_a_mix_and_its_corpora_are_shown_apart(
    quick_command: Run, data: Path, toy_run: Path, tmp_path: Path
) -> None:
    listed = f"[{corpus(data, 'val')}, {corpus(data, 'other')}]"
    result = quick_command(
        "inference.py",
        "-cn=inference_an4",
        f"data_dir={data}",
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        f"inferencer.save_path={tmp_path / 'predictions'}",
        "inferencer.device=cpu",
        "decoder=greedy",
        "~datasets.test",
        f"+datasets.test={listed}",
    )
    assert result.returncode == 0, result.stderr
    for part, number in (("val", 6), ("other", 4)):
        assert f"{part}: {number} utterances, predictions in" in result.stdout
        assert len(list((tmp_path / "predictions" / part).glob("*.json"))) == number


@pytest.mark.parametrize("program", ["scripts/doctor.py", "scripts/preview.py"])
def test_each_corpus_of_a_mix_is_checked(
    quick_command: Run, data: Path, tmp_path: Path, program: str
) -> None:
    words = mixed(data, tmp_path, f"+preview.save_path={tmp_path / 'page'}")
    result = quick_command(program, "-cn=an4", *words)
    assert result.returncode in (0, 1)
    assert "train.large" in result.stdout, result.stderr
    assert "train.small" in result.stdout
    assert "60 utterances" in result.stdout


def test_a_wrong_alphabet_ends_the_run_in_one_line(
    quick_command: Run, data: Path, tmp_path: Path
) -> None:
    """Of one corpus of two; with the setting that the line names, the run starts."""
    rows = [json.loads(line) for line in (data / "small.jsonl").read_text("utf-8").splitlines()]
    cyrillic = "".join(json.dumps(row | {"text": "да нет"}) + "\n" for row in rows)
    (data / "cyrillic.jsonl").write_text(cyrillic, encoding="utf-8")
    words = [each.replace("small.jsonl", "cyrillic.jsonl") for each in mixed(data, tmp_path)]
    result = quick_command("train.py", "-cn=an4", *words)
    assert result.returncode == 2
    (line,) = (each for each in result.stderr.splitlines() if "outside the alphabet" in each)
    assert "datasets.train.small (cyrillic): 15 of 15 utterances (100.0 %)" in line
    assert "'а' in 15, 'д' in 15" in line  # noqa: RUF001
    assert "Traceback" not in result.stderr
