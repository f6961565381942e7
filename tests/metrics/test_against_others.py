"""Counts against jiwer on ten thousand generated pairs, Kaldi's aligner, and sclite where it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import jiwer
import kaldialign
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.metrics.analysis import analyse, total
from deepspeech2.metrics.edits import align, word_edits
from deepspeech2.metrics.predictions import Entry, Predictions, read_objects

SCLITE = shutil.which("sclite") or shutil.which("sctk")
WORDS = st.sampled_from(
    ["the", "a", "cat's", "dog", "wörter", "naïve", "東京", "ñandú", "🙂", "e\u0301", "x" * 60]
)
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)
LONG = st.lists(WORDS, min_size=100, max_size=300).map(" ".join)


def same_as_jiwer(pairs: list[tuple[str, str]]) -> None:
    rows = analyse(Predictions([Entry(str(place), *pair) for place, pair in enumerate(pairs)]), str)
    score = total(rows)
    references, hypotheses = map(list, zip(*pairs, strict=True))
    words = jiwer.process_words(references, hypotheses)
    characters = jiwer.process_characters(references, hypotheses)
    for ours, theirs in ((score.words, words), (score.characters, characters)):
        assert ours.substitutions == theirs.substitutions
        assert ours.deletions == theirs.deletions
        assert ours.insertions == theirs.insertions
        assert ours.reference == theirs.hits + theirs.substitutions + theirs.deletions
    assert score.wer == pytest.approx(words.wer)
    assert score.cer == pytest.approx(characters.cer)


@settings(max_examples=500)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=20, max_size=20))
def test_ten_thousand_pairs_have_jiwers_counts(pairs: list[tuple[str, str]]) -> None:
    # jiwer counts an empty reference as of length 1 only where a corpus has nothing else
    same_as_jiwer([*pairs, ("one", "one")])


@settings(max_examples=20)
@given(pair=st.tuples(LONG, LONG))
def test_long_texts_have_jiwers_counts(pair: tuple[str, str]) -> None:
    same_as_jiwer([pair])


@settings(max_examples=300)
@given(reference=TEXTS, hypothesis=TEXTS)
def test_kaldis_aligner_needs_as_many_edits(reference: str, hypothesis: str) -> None:
    ours, theirs = word_edits(reference, hypothesis), None
    theirs = kaldialign.edit_distance(reference.split(), hypothesis.split())
    assert ours.errors == theirs["total"]
    steps = align(reference.split(), hypothesis.split())
    assert [step.reference for step in steps if step.reference is not None] == reference.split()
    assert [step.hypothesis for step in steps if step.hypothesis is not None] == hypothesis.split()
    assert sum(step.kind != "equal" for step in steps) == theirs["total"]


@pytest.mark.skipif(SCLITE is None, reason="needs sclite, of NIST's sctk")
def test_sclite_counts_the_same_words_and_no_fewer_errors(tmp_path: Path) -> None:
    """sclite weighs a substitution 4 and others 3: its alignment may have more edits than ours."""
    pairs = [
        ("the cat sat on the mat", "the cat sat on mat"),
        ("a dog", "a dog ran off"),
        ("one two three", "one too three"),
        ("alone", "alone"),
    ]
    for name, side in (("ref", 0), ("hyp", 1)):
        lines = "".join(f"{pair[side]} (s-{place})\n" for place, pair in enumerate(pairs))
        (tmp_path / f"{name}.trn").write_text(lines)
    command = [str(SCLITE), "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "rm"]
    if str(SCLITE).endswith("sctk"):
        command.insert(1, "sclite")
    done = subprocess.run(
        [*command, "-o", "rsum", "stdout"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = re.search(r"Sum\s*\|\s*(\d+)\s+(\d+)\s*\|((?:\s+\d+)+)", done.stdout)
    assert found is not None, done.stdout
    sentences, words = int(found[1]), int(found[2])
    _, substitutions, deletions, insertions, errors, _ = map(int, found[3].split())
    folder = tmp_path / "json"
    folder.mkdir()
    for place, (reference, hypothesis) in enumerate(pairs):
        content = {"text": reference, "pred_text": hypothesis}
        (folder / f"{place}.json").write_text(json.dumps(content))
    score = total(analyse(read_objects(folder), str))
    assert (sentences, words) == (score.utterances, score.words.reference)
    ours = score.words
    assert (substitutions, deletions, insertions) == (
        ours.substitutions,
        ours.deletions,
        ours.insertions,
    )
    assert errors == ours.errors
