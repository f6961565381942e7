"""Runs calc_wer_cer.py as a user does."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import jiwer
import pytest

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = ["the", "a", "cat's", "dog", "sat", "on", "two", "mats", "and", "café", "ran"]


def run(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "calc_wer_cer.py"), *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
    )


def score(*arguments: object) -> dict[str, float]:
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def corpus(size: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """(reference, hypothesis) pairs, some of them wrong, some hypotheses empty."""
    draw = random.Random(seed)
    pairs = []
    for _ in range(size):
        words = draw.choices(VOCABULARY, k=draw.randint(1, 20))
        heard = [draw.choice([word, word, word, "", draw.choice(VOCABULARY)]) for word in words]
        pairs.append((" ".join(words), " ".join(filter(None, heard))))
    return pairs


def write_folder(folder: Path, pairs: list[tuple[str, str]], pattern: str = "{}.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, (reference, hypothesis) in enumerate(pairs):
        text = json.dumps({"pred_text": hypothesis, "text": reference})
        (folder / pattern.format(index)).write_text(text, encoding="utf-8")
    return folder


def test_agrees_with_jiwer(tmp_path: Path) -> None:
    pairs = corpus(60)
    write_folder(tmp_path / "test-clean", pairs[:40])
    write_folder(tmp_path / "test-other" / "deep", pairs[40:], "output_{}.json")
    found = score("--dir_path", tmp_path)
    references, hypotheses = map(list, zip(*pairs, strict=True))
    words = jiwer.process_words(references, hypotheses)
    assert found["wer"] == pytest.approx(words.wer)
    assert found["cer"] == pytest.approx(jiwer.process_characters(references, hypotheses).cer)
    assert found["substitutions"] == words.substitutions
    assert found["deletions"] == words.deletions
    assert found["insertions"] == words.insertions
    assert found["reference_words"] == sum(len(reference.split()) for reference in references)
    assert found["utterances"] == 60
    mean = sum(jiwer.process_words(*pair).wer for pair in pairs) / 60
    assert found["mean_utterance_wer"] == pytest.approx(mean)
    assert found["skipped"] == found["missing"] == 0


def test_three_ways_give_the_same(tmp_path: Path) -> None:
    pairs = corpus(12, seed=1)
    lines = tmp_path / "predictions.jsonl"
    objects = [{"text": reference, "pred_text": hypothesis} for reference, hypothesis in pairs]
    lines.write_text("\n".join(map(json.dumps, objects)) + "\n\n", encoding="utf-8")
    for index, pair in enumerate(pairs):
        for folder, text in zip(("gt", "pred"), pair, strict=True):
            (tmp_path / folder / "part").mkdir(parents=True, exist_ok=True)
            file = tmp_path / folder / "part" / f"1-{index}.txt"
            file.write_text(f"\ufeff{text}\n", encoding="utf-8")
    apart = ("--pred_dir", tmp_path / "pred", "--gt_dir", tmp_path / "gt")
    found = [score("--dir_path", write_folder(tmp_path / "json", pairs))]
    found += [score("--dir_path", lines), score(*apart)]
    for each in found:
        del each["remarks"]  # names are those of files, lines and stems
        del each["wer_interval"], each["cer_interval"]  # drawn in another order
    assert found[0] == found[1] == found[2]


def test_lines_for_people(tmp_path: Path) -> None:
    write_folder(tmp_path, [("a b c d", "a x c d e"), ("a", "a")])
    done = run("--dir_path", tmp_path)
    assert done.returncode == 0
    assert "Utterances: 2\n" in done.stdout
    assert "Mean over utterances: WER 25.00 %," in done.stdout
    wer, cer = done.stdout.splitlines()[-2:]
    assert wer.startswith("WER: 40.00 %  (1 substitutions, 0 deletions, 1 insertions in 5 words)")
    assert cer.startswith("CER: 37.50 %")
    assert done.stderr == ""


def test_normalises_both_sides_unless_told_not_to(tmp_path: Path) -> None:
    write_folder(tmp_path, [("DON\u2019T stop-now!", "don't stop now")])
    assert score("--dir_path", tmp_path)["wer"] == 0.0
    assert score("--dir_path", tmp_path, "--normalizer", "none")["wer"] == 1.5


def test_what_is_not_compared_is_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", [("«Well, yes.»", "well yes"), ("no!", "no, no")])
    done = run("--dir_path", folder)
    assert "not compared: ',' 2, '«' 1, '.' 1, '»' 1, '!' 1" in done.stderr
    assert run("--dir_path", folder, "--normalizer", "none").stderr == ""
    assert "not compared" not in run("--dir_path", write_folder(tmp_path / "q", corpus(5))).stderr


def test_what_cannot_be_scored_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, [("a b", "a b")])
    for index in range(7):
        (tmp_path / f"free{index}.json").write_text('{"pred_text": "x", "text": null}')
    (tmp_path / "broken.json").write_text('{"error": "cut off", "pred_text": null, "text": "a"}')
    (tmp_path / "summary.json").write_text("[1, 2]")
    done = run("--dir_path", tmp_path, "--json")
    result = json.loads(done.stdout)
    assert (result["utterances"], result["skipped"]) == (1, 9)
    assert "7 without a reference: free0.json, free1.json" in done.stderr
    assert "free4.json and 2 more" in done.stderr
    assert "1 marked as failed: broken.json" in done.stderr
    assert "1 without pred_text: summary.json" in done.stderr


def test_missing_and_extra_text_files(tmp_path: Path) -> None:
    for name in ("gt/a", "gt/b", "pred/a", "pred/c"):
        file = tmp_path / f"{name}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("two words")
    done = run("--pred_dir", tmp_path / "pred", "--gt_dir", tmp_path / "gt", "--json")
    result = json.loads(done.stdout)
    assert (result["deletions"], result["reference_words"], result["wer"]) == (2, 4, 0.5)
    assert (result["missing"], result["skipped"]) == (1, 1)
    assert "1 without a prediction, scored as empty: b" in done.stderr
    assert "1 without a reference: c" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --dir_path or both --pred_dir and --gt_dir must be given"),
        (["--pred_dir", "."], "either --dir_path or both"),
        (["--dir_path", "absent"], "absent is neither a folder of predictions nor"),
        (["--dir_path", "empty"], "empty contains no prediction that can be scored"),
        (["--dir_path", "bad"], "x.json is not valid JSON"),
        (["--dir_path", "bad.jsonl"], "bad.jsonl, line 2, is not valid JSON"),
        (["--dir_path", "latin.jsonl"], "latin.jsonl cannot be read"),
        (["--pred_dir", "absent", "--gt_dir", "texts"], "absent is not a folder"),
        (["--pred_dir", "texts", "--gt_dir", "empty"], "empty contains no .txt file"),
        (["--pred_dir", "texts", "--gt_dir", "other"], "have no file stem in common"),
        (["--pred_dir", "twice", "--gt_dir", "texts"], "have the same stem"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    for folder in ("empty", "bad", "texts", "other", "twice/deep"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "bad" / "x.json").write_text('{"pred_text": ')
    (tmp_path / "bad.jsonl").write_text('{"pred_text": "a", "text": "a"}\n{"pred\n')
    (tmp_path / "latin.jsonl").write_bytes(b'{"pred_text": "\xe9", "text": "a"}')
    for file in ("texts/a.txt", "other/b.txt", "twice/a.txt", "twice/deep/a.txt"):
        (tmp_path / file).write_text("a")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def seconds(*command: str) -> tuple[float, str]:
    """Processor time, so that a busy machine fails no test, and what was told on stderr."""
    before = os.times()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system, done.stderr


def test_thousands_of_files_in_two_seconds_without_torch(tmp_path: Path) -> None:
    write_folder(tmp_path, corpus(2620))
    command = [sys.executable, "-X", "importtime", "calc_wer_cer.py", "--dir_path", str(tmp_path)]
    spent, told = seconds(*command)
    assert spent < 2.0
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert "rapidfuzz" in imported
    assert not imported & {"torch", "pandas", "scipy", "hydra"}


@pytest.mark.slow
def test_a_hundred_thousand_in_twenty_seconds(tmp_path: Path) -> None:
    lines = tmp_path / "predictions.jsonl"
    with lines.open("w", encoding="utf-8") as file:
        for ref, hyp in corpus(100_000):
            file.write(json.dumps({"text": f"{ref} {ref}", "pred_text": f"{hyp} {hyp}"}) + "\n")
    spent, _ = seconds(sys.executable, "calc_wer_cer.py", "--dir_path", str(lines))
    assert spent < 20.0
