"""Transcripts are scored as jiwer scores them, and half a split is not taken for the whole."""

from __future__ import annotations

import json
from pathlib import Path

import jiwer
import pytest
from leaderboard import scoring
from leaderboard.scoring import score

from deepspeech2.errors import ManifestError

PAIRS = [
    ("the cat sat", "the cat sat"),
    ("on the mat", "on mat"),
    ("it's late", "its late now"),
    ("go", ""),
]


def write(folder: Path, pairs: list[tuple[str, str]], **more: object) -> Path:
    folder.mkdir(exist_ok=True)
    for index, (text, heard) in enumerate(pairs):
        content = {"text": text, "pred_text": heard, "decoder": "Argmax", **more}
        (folder / f"{index:05d}.json").write_text(json.dumps(content))
    return folder


def test_counts_and_rates_are_those_of_jiwer(tmp_path: Path) -> None:
    found = score(write(tmp_path / "x", PAIRS), "x")
    truth, heard = map(list, zip(*PAIRS, strict=True))
    words, characters = jiwer.process_words(truth, heard), jiwer.process_characters(truth, heard)
    for ours, theirs in ((found.wer, words), (found.cer, characters)):
        rate = theirs.wer if theirs is words else theirs.cer
        assert ours.value == pytest.approx(rate)
        assert ours.low <= ours.value <= ours.high
        counts = (ours.substitutions, ours.deletions, ours.insertions)
        assert counts == (theirs.substitutions, theirs.deletions, theirs.insertions)
    assert (found.wer.reference, found.utterances, found.unreadable) == (9, 4, 0)
    assert found.decoder == "Argmax"
    assert found.warnings == []


def test_the_digest_belongs_to_the_texts(tmp_path: Path) -> None:
    first = score(write(tmp_path / "a", PAIRS), "x").sha256
    assert score(write(tmp_path / "b", PAIRS, confidence=0.5), "x").sha256 == first
    assert score(write(tmp_path / "c", [*PAIRS[:3], ("go", "go")]), "x").sha256 != first


def test_what_could_not_be_read_is_counted(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", PAIRS)
    (folder / "broken.json").write_text(json.dumps({"pred_text": "", "text": "a", "error": "cut"}))
    found = score(folder, "x")
    assert (found.utterances, found.unreadable) == (4, 1)
    assert found.warnings == ["1 marked as failed: broken.json"]


def test_a_split_must_be_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "test-clean", PAIRS)
    with pytest.raises(
        ManifestError, match=r"contains 4 utterances, but test-clean has 2620: .*rest"
    ):
        score(folder, "test-clean")
    assert score(folder, "four of test-clean").utterances == 4
    monkeypatch.setitem(scoring.SIZES, "test-clean", 4)
    assert score(folder, "test-clean").utterances == 4


def test_transcripts_of_two_decoders_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", PAIRS)
    content = {"text": "a", "pred_text": "a", "decoder": "BeamSearch"}
    (folder / "more.json").write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=r"of one decoder, but names Argmax, BeamSearch"):
        score(folder, "x")
