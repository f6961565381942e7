"""What a run checks before its first step: enough, and in no time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from deepspeech2.commands.training_data import SAMPLED, check_start
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.manifest import ManifestCorpus
from deepspeech2.extras.checks import Finding, render, spread
from deepspeech2.settings import DataloaderSettings, TrainerSettings
from deepspeech2.types import Utterance
from tests.toy import write_corpus


@pytest.fixture
def corpora(tmp_path: Path) -> dict[str, Corpus]:
    folder = write_corpus(tmp_path / "data", {"train": 6, "val": 3})
    return {part: ManifestCorpus(folder / f"{part}.jsonl") for part in ("train", "val")}


def checked(
    corpora: dict[str, Corpus], folder: Path, n_parameters: int = 100, device: str = "cpu"
) -> list[Finding]:
    settings = TrainerSettings(n_epochs=3, device=device)
    dataloader = DataloaderSettings(
        max_batch_duration=8, cache="disk", cache_dir=str(folder / "cache")
    )
    return check_start(corpora, settings, dataloader, n_parameters, folder / "run")


def test_a_healthy_start(corpora: dict[str, Corpus], tmp_path: Path) -> None:
    findings = checked(corpora, tmp_path)
    assert {finding.severity for finding in findings} == {"ok"}, render(findings)
    assert {finding.area for finding in findings} == {
        "machine",
        "datasets.train",
        "datasets.val",
        "datasets",
    }
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


def test_faults_at_the_start(corpora: dict[str, Corpus], tmp_path: Path) -> None:
    utterances = corpora["train"].utterances
    again = replace(utterances[0], id="again")
    corpora = {"train": Corpus("t", [*utterances, again]), "val": corpora["train"]}
    found = checked(corpora, tmp_path, n_parameters=10**14, device="cuda:99")
    by_check = {finding.check: finding for finding in found if finding.severity != "ok"}
    assert set(by_check) == {
        "machine: GPU",
        "machine: disk",
        "datasets.train: repetitions",
        "datasets: overlap",
    }
    assert by_check["machine: disk"].severity == "error"
    assert "trainer.save_period" in by_check["machine: disk"].remedy
    assert "6 utterances of val in train by audio file" in by_check["datasets: overlap"].found
    assert str(by_check["datasets: overlap"]).startswith("datasets: overlap: 6 utterances")


def test_a_large_corpus_is_only_sampled(corpora: dict[str, Corpus], tmp_path: Path) -> None:
    audio, sentence = corpora["train"][0].audio, "as many words as a reader says in one go " * 4
    many = [
        Utterance(f"u{n}", audio, 0.3, f"{n} {sentence}", offset=n * 1e-7, speaker=f"s{n % 2338}")
        for n in range(281_241)
    ]
    findings = checked({"train": Corpus("t", many), "val": corpora["val"]}, tmp_path)
    recordings = next(f for f in findings if f.check == "datasets.train: recordings")
    assert "32 recordings read" in recordings.found


def test_a_sample_is_spread_evenly() -> None:
    items = [Utterance(str(n), Path("a"), 1.0) for n in range(281_241)]
    chosen = [int(utterance.id) for utterance in spread(items, SAMPLED)]
    steps = {right - left for left, right in pairwise(chosen)}
    assert len(chosen) == 64
    assert chosen[0] == 0
    assert max(steps) - min(steps) <= 1
    assert spread(items[:5], SAMPLED) == items[:5]
    assert spread(items, SAMPLED) == spread(items, SAMPLED)
