"""scripts/suspects.py on the toy corpus, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deepspeech2.datasets import ManifestCorpus
from deepspeech2.extras.labelling.ordering import _scores
from tests.system.conftest import Run
from tests.toy import WORDS

SCRIPT = "scripts/suspects.py"


@pytest.fixture(scope="module")
def corpus(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy's training part, of which every sixth transcript is another's."""
    folder = tmp_path_factory.mktemp("suspects")
    data = toy_run.parent / "data"
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        row["audio_filepath"] = str(data / row["audio_filepath"])
        if number % 6 == 0:
            wrong = [word for word in WORDS if word not in row["text"].lower()]
            row["text"] = " ".join([*wrong[:2], *wrong[:1]]).upper()
    (folder / "all.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def words(toy_run: Path, corpus: Path, place: Path, *more: str) -> list[str]:
    return [
        "datasets=manifest",
        "datasets.train.manifest=all.jsonl",
        "~datasets.val",
        f"data_dir={corpus}",
        "dataloader.num_workers=0",
        f"suspects.from_pretrained={toy_run / 'model_best.pth'}",
        f"suspects.save_path={place}",
        "suspects.device=cpu",
        "suspects.threads=1",
        *more,
    ]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_wrong_transcripts_come_first_and_are_left_out(
    quick_command: Run, toy_run: Path, corpus: Path, tmp_path: Path
) -> None:
    place = tmp_path / "list"
    before = (corpus / "all.jsonl").read_bytes()
    done = quick_command(SCRIPT, *words(toy_run, corpus, place, "suspects.threshold=1000"))
    assert done.returncode == 0, done.stderr
    listed = rows_of(place / "suspects.jsonl")
    assert len(listed) == 60
    suspicions = [float("inf") if (s := row["suspicion"]) is None else s for row in listed]
    assert suspicions == sorted(suspicions, reverse=True)
    scores = _scores(place / "order.tsv")  # as the page to correct them on reads it
    assert list(scores) == [row["id"] for row in listed]
    assert list(scores.values()) == suspicions
    planted = {f"train-{number:03d}" for number in range(0, 60, 6)}
    first = {row["id"] for row in listed[:10]}
    assert len(first & planted) >= 8  # chance: 2
    assert (corpus / "all.jsonl").read_bytes() == before

    # a threshold between them
    threshold = (suspicions[9] + suspicions[10]) / 2
    refused = quick_command(SCRIPT, *words(toy_run, corpus, place))
    assert refused.returncode == 2
    assert "move it aside with suspects.override=true" in refused.stderr
    more = ("suspects.override=true", f"suspects.threshold={threshold}")
    done = quick_command(SCRIPT, *words(toy_run, corpus, place, *more))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "list.old-1" / "suspects.jsonl").is_file()
    assert "10 of 60 transcripts (16.7 %)" in done.stdout
    again = rows_of(place / "suspects.jsonl")
    assert [row["kept"] for row in again] == [False] * 10 + [True] * 50

    # what is left is a corpus in the given order, and training reads it as it is
    kept = ManifestCorpus("train.jsonl", place)
    everything = ManifestCorpus("all.jsonl", corpus)
    left = [each for each in everything if each.id not in {row["id"] for row in again[:10]}]
    assert [(e.id, e.audio, e.text, e.duration) for e in kept] == [
        (e.id, e.audio, e.text, e.duration) for e in left
    ]


def test_what_is_no_list_is_kept(
    quick_command: Run, toy_run: Path, corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    more = ("suspects.override=true",)
    refused = quick_command(SCRIPT, *words(toy_run, corpus, tmp_path, *more))
    assert refused.returncode == 2
    assert "contains other files" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_recording_that_cannot_be_read_is_named(
    quick_command: Run,
    toy_run: Path,
    corpus: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = rows_of(corpus / "all.jsonl")[:12]
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    rows.append({"audio_filepath": str(broken), "duration": 1.0, "text": "AB"})
    rows.append({**rows[0], "id": "silent", "text": None})
    (tmp_path / "all.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    done = quick_command(SCRIPT, *words(toy_run, tmp_path, tmp_path / "list"))
    assert done.returncode == 1
    assert "broken.wav is no audio" in caplog.text
    assert "1 utterances have no transcript" in caplog.text
    assert len(rows_of(tmp_path / "list" / "suspects.jsonl")) == 12
