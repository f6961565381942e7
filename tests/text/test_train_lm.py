"""scripts/train_lm.py as a user runs it."""

from __future__ import annotations

import gzip
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deepspeech2.commands.train_lm import HeldOut, evaluate
from deepspeech2.errors import ManifestError
from deepspeech2.text.ngram.arpa import read_arpa
from deepspeech2.text.ngram.backoff import NGramTables
from deepspeech2.text.ngram.kneser_ney import estimate
from deepspeech2.text.ngram.pruning import entropy_prune
from deepspeech2.text.ngram.texts import encode
from tests.text.plain_ngrams import PlainBackoff, random_text

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "train_lm.py"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The script in this process: its exit status, standard output and error."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        status = 0
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as stop:
            status = int(stop.code or 0)
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{line}.\n" for line in random_text(0)), "utf-8")
    return path


def same(left: NGramTables, right: NGramTables) -> bool:
    """Whether both have the same n-grams with the same numbers, but for rounding."""
    first, second = (PlainBackoff.of(tables) for tables in (left, right))
    return first.log10 == pytest.approx(second.log10, abs=1e-5) and first.backoff == pytest.approx(
        second.backoff, abs=1e-5
    )


def test_a_model_of_a_text(run: Run, text: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.arpa"
    options = ("--order", 3, "--prune", 0, 0, 1, "--output", output)
    status, out, err = run(text, *options, "--held-out", text)
    assert status == 0, err
    expected = estimate(encode(random_text(0)), 3, prune=(0, 0, 1))
    assert same(read_arpa(output), expected.tables)
    for n, (seen, discounts) in enumerate(
        zip(expected.seen, expected.discounts, strict=True), start=1
    ):
        amounts = " ".join(f"{amount:.4f}" for amount in discounts.amounts)
        assert f"{n}-grams: {seen} in the text" in out
        assert f"discounts {amounts}" in out
    assert f", {len(expected.tables.orders[2].ids)} kept" in out
    held_out = evaluate(expected.tables, iter(random_text(0)))
    assert f"{held_out.n_tokens} tokens with sentence ends, 0 unknown (0.00%)" in out
    assert f"perplexity: {held_out.perplexity:.2f} with" in out


def test_entropy_vocabulary_and_compression(run: Run, text: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.arpa.gz"
    packed = tmp_path / "packed.txt.gz"
    packed.write_bytes(gzip.compress(text.read_bytes()))
    options = ("--entropy", 1e-4, "--limit-vocabulary", 20, "--output", output)
    status, out, err = run(packed, text, "--order", 2, *options)
    assert status == 0, err
    counted = estimate(encode(random_text(0) * 2), 2, limit_vocabulary=20)
    expected = entropy_prune(counted.tables, 1e-4)
    assert same(read_arpa(output), expected)
    assert f", {len(expected.orders[1].ids)} after entropy pruning" in out
    assert "fixed: the text is too small" in out  # every count is even


def test_transcripts_of_a_corpus(run: Run, tmp_path: Path) -> None:
    chapter = tmp_path / "train" / "1" / "2"
    chapter.mkdir(parents=True)
    (chapter / "1-2.trans.txt").write_text("1-2-0000 A B C\n1-2-0001 A B\n", "utf-8")
    output = tmp_path / "model.arpa"
    status, out, err = run(
        tmp_path / "train", "--order", 2, "--output", output, "--held-out", chapter
    )
    assert status == 0, err
    assert set(read_arpa(output).words) == {"<unk>", "<s>", "</s>", "a", "b", "c"}
    assert "held-out: 7 tokens" in out


@pytest.mark.parametrize("unknown", [0, 1, 5])
def test_perplexity(unknown: int) -> None:
    tables = entropy_prune(estimate(encode(random_text(0)), 3).tables, 1e-5)
    lines = random_text(1)[:40] + ["elsewhere w0 w1"] * unknown
    plain = PlainBackoff.of(tables)
    scored = [token for line in lines for token in plain.score(line, 3)]
    result = evaluate(tables, iter(lines))
    assert result.n_tokens == len(scored)
    assert result.n_unknown == sum(is_unknown for _, is_unknown in scored)
    inverse = {True: 1.0, False: 1.0}
    for probability, is_unknown in scored:
        inverse[is_unknown] *= probability ** (-1 / len(scored))
    assert result.perplexity == pytest.approx(inverse[True] * inverse[False], rel=1e-5)
    n_known = result.n_tokens - result.n_unknown
    expected = inverse[False] ** (len(scored) / n_known)
    assert result.perplexity_of_known == pytest.approx(expected, rel=1e-5)


def test_perplexity_by_hand() -> None:
    result = HeldOut(n_tokens=4, n_unknown=1, log10_known=-6.0, log10_unknown=-6.0)
    assert (result.perplexity, result.perplexity_of_known) == (1000, 100)
    assert result.unknown_rate == 0.25


def test_held_out_text_needs_a_sentence() -> None:
    with pytest.raises(ManifestError, match="held-out text is empty"):
        evaluate(estimate(encode(["a"]), 1).tables, iter([]))


def test_nothing_is_overwritten(text: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.arpa"
    output.write_text("precious", "utf-8")
    done = subprocess.run(
        [sys.executable, SCRIPT, text, "--order", "2", "--output", output],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: {output} exists already: remove it, or name another output"
    ]
    assert output.read_text("utf-8") == "precious"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere.txt", "--order", 2), "nowhere.txt does not exist"),
        (("text.txt", "--order", 0), "order must be at least 1, but is 0"),
        (("text.txt", "--order", 2, "--prune", 0, 0, 1), "prune must have at most 2 numbers"),
        (("text.txt", "--order", 2, "--entropy", -1), "must not be negative, but is -1.0"),
        (("text.txt", "--order", 2, "--held-out", "none"), "none does not exist"),
        (("text.txt", "--order", 2, "--output", "text.txt/model.arpa"), "cannot be created"),
    ],
)
def test_bad_arguments(
    run: Run,
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[object, ...],
    message: str,
) -> None:
    monkeypatch.chdir(text.parent)
    status, out, err = run("--output", "model.arpa", *words)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (text.parent / "model.arpa").exists()
