"""Pieces of words, against sentencepiece."""

from __future__ import annotations

import io
import json
import pickle
import re
import signal
import subprocess
import sys
import threading
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.datasets.spoken.script import script
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.text import Normalizer, SubwordEncoder
from deepspeech2.text.train_subwords import train_pieces
from tests.toy import ROOT

PIECES = ["\u2581a", "\u2581ab", "bb", "\u2581", "a", "b"]


@cache
def sentences() -> list[str]:
    return [Normalizer()(line.text) for line in script()][:1500]


@cache
def trained(kind: str) -> tuple[object, SubwordEncoder]:
    """The library's model, and our encoder of its pieces."""
    sentencepiece = pytest.importorskip("sentencepiece")
    pieces, scores = train_pieces(sentences(), kind=kind, size=150)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()), model_writer=model, model_type=kind, vocab_size=151,
        character_coverage=1.0, normalization_rule_name="identity", bos_id=-1, eos_id=-1,
        minloglevel=2, num_threads=1,
    )  # fmt: skip
    library = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return library, SubwordEncoder(pieces, scores)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_encodes_as_the_library(kind: str) -> None:
    library, encoder = trained(kind)
    assert encoder.n_tokens == 151
    for text in sentences():
        assert [encoder.pieces[each - 1] for each in encoder.encode(text)] == library.encode(  # type: ignore[attr-defined]
            text, out_type=str
        )


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@settings(max_examples=300)
@given(st.lists(st.text("aeinstrlo", min_size=1, max_size=12), max_size=6).map(" ".join))
def test_encodes_any_letters_as_the_library(kind: str, text: str) -> None:
    library, encoder = trained(kind)
    labels = encoder.encode(text)
    theirs = library.encode(text, out_type=str)  # type: ignore[attr-defined]
    ours = [encoder.pieces[each - 1] for each in labels]
    if encoder.scores is None:
        assert ours == theirs
    else:  # the library adds single-precision numbers, and may take another of equal sums
        score = dict(zip(encoder.pieces, encoder.scores, strict=True))
        assert sum(map(score.get, ours)) == pytest.approx(sum(map(score.get, theirs)), rel=1e-5)  # type: ignore[arg-type]
    assert encoder.decode(labels) == text
    assert " ".join(text.split()) == encoder.joined(labels).strip()


@given(st.text("ab", min_size=1, max_size=8))
def test_scores_choose_the_most_probable_of_all_divisions(word: str) -> None:
    scores = [-1.0, -2.5, -0.7, -3.0, -1.1, -2.0]
    encoder = SubwordEncoder(PIECES, scores)
    marked = f"\u2581{word}"
    sums = [-1e9]
    for cuts in product((False, True), repeat=len(word)):
        pieces = re.split(
            "\0", "".join(c + "\0" * cut for c, cut in zip(marked, cuts, strict=False)) + marked[-1]
        )
        if set(pieces) <= set(PIECES):
            sums.append(sum(scores[PIECES.index(piece)] for piece in pieces))
    found = sum(scores[label - 1] for label in encoder.encode(word))
    assert found == pytest.approx(max(sums))


def test_words_begin_at_their_mark() -> None:
    encoder = SubwordEncoder(PIECES)
    labels = encoder.encode("Ab bba a")
    assert [encoder.tokens[label] for label in labels] == [" ab", " ", "bb", "a", " a"]
    assert encoder.words(labels) == [[0], [2, 3], [4]]
    assert encoder.decode(labels) == "ab bba a"
    assert encoder.minimum_frames(encoder.encode("aaa")) == 4  # " a", "a", blank, "a"
    assert encoder.unknown("abc \u2581") == {"c", "\u2581"}
    with pytest.raises(ManifestError, match="'c' in 'ac' is in none of the pieces"):
        encoder.encode("ac")


def test_settings_and_pickles_make_the_same_encoder() -> None:
    encoder = SubwordEncoder(PIECES, [-1.0] * 6, case="keep")
    assert SubwordEncoder(**encoder.settings) == encoder == pickle.loads(pickle.dumps(encoder))
    assert json.loads(json.dumps(encoder.settings)) == encoder.settings
    assert encoder != SubwordEncoder(PIECES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pieces": []}, "must contain at least one piece"),
        ({"pieces": [*PIECES, "a"]}, "must be different, but repeat 'a'"),
        ({"pieces": [*PIECES, "a\u2581b"]}, "no space, but contain 'a\u2581b'"),
        ({"pieces": [*PIECES, "a b"]}, "no space, but contain 'a b'"),
        ({"pieces": [*PIECES, ""]}, "no space, but contain ''"),
        ({"pieces": [*PIECES, "A"]}, "must be normalised, but 'A' becomes 'a'"),
        ({"pieces": [*PIECES, "ac"]}, "but lack 'c'"),
        ({"pieces": ["a", "b"]}, "but lack '\u2581'"),
        ({"pieces": PIECES, "scores": [0.0]}, "must be 6 finite numbers, one for each piece"),
        ({"pieces": PIECES, "scores": [0.0] * 5 + [float("inf")]}, "must be 6 finite numbers"),
    ],
)
def test_what_are_no_pieces_is_said(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        SubwordEncoder(**arguments)  # type: ignore[arg-type]


def train(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/train_tokenizer.py"), *words],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_an_interruption_is_heard_while_the_library_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python hears a signal in the main thread alone, and not before C++ returns to it."""
    sentencepiece = pytest.importorskip("sentencepiece")
    computing = threading.Event()

    def train(**_: object) -> None:
        assert threading.current_thread() is not threading.main_thread()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        computing.wait()

    monkeypatch.setattr(sentencepiece.SentencePieceTrainer, "train", train)
    with pytest.raises(KeyboardInterrupt):
        train_pieces(["a b"], kind="bpe", size=2)
    computing.set()


def test_the_command(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    text, output = tmp_path / "text.txt", tmp_path / "pieces.json"
    text.write_text("The cat sat. The cat ran!\n" * 20, "utf-8")
    done = train(str(text), "--type", "unigram", "--size", "10", "--output", str(output))
    assert (done.returncode, done.stderr) == (0, "")
    assert "characters each" in done.stdout
    encoder = SubwordEncoder(output)
    assert encoder.n_tokens == 11
    assert encoder.decode(encoder.encode("That rat")) == "that rat"
    again = train(str(text), "--size", "10", "--output", str(output))
    assert again.returncode == 2
    assert "exists already" in again.stderr
    large = train(str(text), "--size", "1400", "--output", str(tmp_path / "large.json"))
    assert large.returncode == 2
    assert re.search("^error: 1400 pieces cannot be trained: .*1401", large.stderr)
    nothing = train("--size", "10", "--output", str(tmp_path / "none.json"))
    assert "name a text" in nothing.stderr


@pytest.mark.parametrize("content", ["", "[]", '{"pieces": [1], "scores": null}', '{"pieces": []}'])
def test_a_file_that_is_none_of_pieces_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pieces.json"
    with pytest.raises(ManifestError, match="cannot be read"):
        SubwordEncoder(path)
    path.write_text(content, "utf-8")
    with pytest.raises(ManifestError, match="is no file of pieces"):
        SubwordEncoder(path)
