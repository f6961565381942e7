"""What calc_wer_cer.py tells besides the rates, as a user asks for it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.test_calc_wer_cer import ROOT, corpus, run


def write(path: Path, pairs: list[tuple[str, str]], **fields: list[object]) -> Path:
    """JSON lines with an id each, and a value of each field."""
    lines = [
        {"id": f"u{n}", "text": ref, "pred_text": hyp}
        | {name: values[n % len(values)] for name, values in fields.items()}
        for n, (ref, hyp) in enumerate(pairs)
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    durations: list[object] = [1.5, 3.0, 7.0, 12.0, 18.0, 25.0, 35.0, 4.0, 6.0, 8.5, 9.0, 11.0, 2.5]
    return write(
        tmp_path / "a.jsonl", corpus(120), speaker=["ann", "bob", "cleo"], duration=durations
    )


def test_intervals_and_speakers(scored: Path) -> None:
    lines = run("--dir_path", scored).stdout.splitlines()
    assert lines[3].startswith("95 % interval over utterances: WER ")
    assert lines[4].startswith("95 % interval over 3 speakers: WER ")
    content = json.loads(run("--dir_path", scored, "--json").stdout)
    for interval in ("wer_interval", "wer_interval_speakers"):
        low, high = content[interval]
        assert low < content["wer"] < high
        assert high - low < 0.2


def test_the_worst_utterances_are_shown_aligned(tmp_path: Path) -> None:
    pairs = [
        ("a b c", "a b c"),
        ("one two has four legs too", "one too has legs too now"),
        ("x y", "x z"),
    ]
    out = run("--dir_path", write(tmp_path / "a.jsonl", pairs), "--worst", 1).stdout
    assert "u1: 3 errors in 6 words\n" in out
    block = out[out.index("u1:") :].splitlines()[1:4]
    assert block == [
        "REF: one two has four legs too ***",
        "HYP: one too has **** legs too now",
        "         S       D             I",
    ]
    assert "u2:" not in out


def test_confusions_of_words_and_characters(tmp_path: Path) -> None:
    pairs = [("the cat", "a cat"), ("the dog", "a dog now"), ("two mats", "too mats"), ("on", "")]
    path = write(tmp_path / "a.jsonl", pairs)
    content = json.loads(run("--dir_path", path, "--confusions", 2, "--json").stdout)
    words = content["confusions"]["words"]
    assert words["substitutions"] == [["the", "a", 2], ["two", "too", 1]]
    assert words["deletions"] == [["on", 1]]
    assert words["insertions"] == [["now", 1]]
    assert ["space", 1] in content["confusions"]["characters"]["insertions"]
    out = run("--dir_path", path, "--confusions", 2).stdout
    assert "the -> a (2)" in out


def test_slices_by_speaker_duration_and_fields_of_a_manifest(scored: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "more.jsonl"
    rows = [{"id": f"u{n}", "room": "hall" if n % 4 else "car"} for n in range(119)]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    more = ["--by", "speaker", "--by", "duration", "--by", "room", "--manifest", manifest]
    content = json.loads(run("--dir_path", scored, *more, "--json").stdout)
    by = content["slices"]
    assert [part["value"] for part in by["speaker"]] == ["ann", "bob", "cleo"]
    assert [part["value"] for part in by["room"]] == ["car", "hall", "unknown"]
    ranges = ["0 to 2", "2 to 5", "5 to 10", "10 to 15", "15 to 20", "20 to 30", "30 and more"]
    assert [part["value"] for part in by["duration"]] == ranges
    for parts in by.values():
        assert sum(part["utterances"] for part in parts) == 120
        assert sum(part["reference_words"] for part in parts) == content["reference_words"]
        errors = sum(part["wer"] * part["reference_words"] for part in parts)
        assert errors / content["reference_words"] == pytest.approx(content["wer"])
    failed = run("--dir_path", scored, "--by", "weather")
    assert failed.returncode == 2
    assert "no utterance has a field 'weather': there are duration, id" in failed.stderr


def test_two_systems_are_compared(tmp_path: Path) -> None:
    pairs = corpus(100, seed=4)
    better = [(ref, ref if n % 3 else hyp) for n, (ref, hyp) in enumerate(pairs)]
    first, second = write(tmp_path / "a.jsonl", pairs), write(tmp_path / "b.jsonl", better[:90])
    content = json.loads(run("--dir_path", first, "--compare", second, "--json").stdout)
    found = content["comparison"]
    assert found["utterances"] == 90
    assert found["alone"] == [f"u{n}" for n in range(90, 100)]
    assert found["difference"] == pytest.approx(found["wer"][1] - found["wer"][0])
    assert found["difference_interval"][1] < 0
    assert found["p_value"] < 1e-6
    assert found["worse"] == 0
    out = run("--dir_path", first, "--compare", first).stdout
    assert "difference +0.00 %" in out
    assert "p = 1 (exact matched-pairs permutation test)" in out
    other = write(tmp_path / "c.jsonl", [("other words", "x")])
    failed = run("--dir_path", first, "--compare", other)
    assert failed.returncode == 2
    assert "u0 has two references" in failed.stderr


def test_folders_of_texts_are_compared(tmp_path: Path) -> None:
    for name, text in (("gt", "one two"), ("a", "one too"), ("b", "one two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "u.txt").write_text(text)
    folders = ["--pred_dir", tmp_path / "a", "--gt_dir", tmp_path / "gt"]
    out = run(*folders, "--compare", tmp_path / "b").stdout
    assert "WER 50.00 % and 0.00 %" in out


@pytest.mark.parametrize("form", ["--json", "--csv", "--markdown", None])
def test_the_page_is_announced_beside_the_output(
    scored: Path, tmp_path: Path, form: str | None
) -> None:
    options = [] if form is None else [form]
    plain = run("--dir_path", scored, *options)
    done = run("--dir_path", scored, "--html", "page.html", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == plain.stdout
    assert done.stderr == f"the page of errors is {tmp_path / 'page.html'}\n{plain.stderr}"
    assert (tmp_path / "page.html").is_file()


def test_the_page_needs_no_torch(scored: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "calc_wer_cer.py", "--dir_path", str(scored)]
    done = subprocess.run(
        [*command, "--html", str(tmp_path / "page.html")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "soundfile" in imported
    assert "torch" not in imported


@pytest.fixture
def two_systems(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of our own predictions: of a checkpoint, and of a decoder alone."""
    for name, heard, made in (
        ("a", "one too", {"checkpoint": "ab" * 32, "decoder": "Argmax", "settings": {}}),
        ("b", "one two", {"checkpoint": None, "decoder": "BeamSearch\n|<b>"}),
    ):
        folder = tmp_path / name / "test"
        folder.mkdir(parents=True)
        (folder / ".made_with").write_text(json.dumps(made))
        content = {"text": "one two", "pred_text": heard}
        (folder / "u.json").write_text(json.dumps({"id": "u", "decoder": None} | content))
        own = {"id": "v", "decoder": made["decoder"], **content}
        (folder / "v.json").write_text(json.dumps(own))
        for file, day in (("u.json", 1), ("v.json", 2)):
            os.utime(folder / file, (86400 * day, 86400 * day))
    return tmp_path / "a", tmp_path / "b"


def test_where_predictions_come_from(two_systems: tuple[Path, Path]) -> None:
    first, second = two_systems
    told = "Predictions of 1970-01-03, decoder Argmax, model abababababab"
    other = "Compared with predictions of 1970-01-03, decoder BeamSearch\\u000a|<b>"
    assert run("--dir_path", first).stdout.splitlines()[0] == told
    lines = run("--dir_path", first, "--compare", second).stdout.splitlines()
    assert lines[:2] == [told, other]
    text = run("--dir_path", first, "--compare", second, "--markdown").stdout
    assert text.startswith(f"{told}\n\n{other.replace('|<', chr(92) + '|&lt;')}\n\n| ")
    content = json.loads(run("--dir_path", first, "--compare", second, "--json").stdout)
    expected = {"date": "1970-01-03", "decoders": ["Argmax"], "models": ["ab" * 32]}
    assert {key: content[key] for key in expected} == expected
    assert content["comparison"]["second"] == {
        "date": "1970-01-03", "decoders": ["BeamSearch\n|<b>"], "models": [],
    }  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(run("--dir_path", first, "--csv").stdout)))
    assert [(row["decoder"], row["model"]) for row in rows] == [("Argmax", "ab" * 32)] * 2
    (by,) = json.loads(run("--dir_path", first, "--by", "decoder", "--json").stdout)[
        "slices"
    ].values()
    assert [part["value"] for part in by] == ["Argmax"]


@pytest.mark.parametrize("made", [b"", b"[1]", b"\xff", b'{"checkpoint": 7}'])
def test_a_mark_that_says_nothing(two_systems: tuple[Path, Path], made: bytes) -> None:
    first, _ = two_systems
    (first / "test" / ".made_with").write_bytes(made)
    (first / "test" / "v.json").unlink()
    done = run("--dir_path", first, "--csv")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].endswith(",reference,hypothesis")


def test_rows_and_tables_for_other_programs(scored: Path) -> None:
    content = json.loads(run("--dir_path", scored, "--json").stdout)
    rows = list(csv.DictReader(io.StringIO(run("--dir_path", scored, "--csv").stdout)))
    assert len(rows) == 120
    errors = sum(int(row[kind]) for row in rows for kind in ("substitutions", "deletions"))
    assert errors == content["substitutions"] + content["deletions"]
    text = run("--dir_path", scored, "--markdown", "--by", "speaker", "--worst", 1).stdout
    assert f"| WER | {100 * content['wer']:.2f} % |" in text
    assert "### By speaker\n\n| speaker | utterances |" in text
    for line in text.splitlines():
        if line.startswith("| WER") or line.startswith("| CER"):
            assert line.count("|") == 8


def test_normalizers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [("COLOUR isn't, 25 percent!", "color is not 25%")])
    rates = {
        name: json.loads(run("--dir_path", path, "--normalizer", name, "--json").stdout)["wer"]
        for name in ("none", "default", "librispeech", "whisper")
    }
    assert rates["whisper"] == 0.0
    assert rates["none"] == 1.0
    assert rates["default"] == rates["librispeech"] == 1.0


def test_nothing_is_dropped_unsaid(tmp_path: Path) -> None:
    """Of the second system, and of a manifest that knows other utterances."""
    first = write(tmp_path / "a.jsonl", [("one two", "one two"), ("three", "three")])
    second = tmp_path / "b.jsonl"
    rows = [
        {"id": "u0", "text": "one two", "pred_text": ""},
        {"id": "u0", "text": "one two", "pred_text": "one"},
        {"id": "u1", "error": "cut off", "text": "three", "pred_text": None},
    ]
    second.write_text("\n".join(map(json.dumps, rows)))
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("\n".join(json.dumps({"id": name}) for name in ("u0", "u8", "u9")))
    done = run("--dir_path", first, "--compare", second, "--manifest", manifest, "--json")
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert "1 that the manifest does not list: u1" in told
    assert "2 in the manifest without a prediction, not scored: u8, u9" in told
    assert f"{second}: 1 marked as failed: line 3" in told
    assert f"{second}: 1 with an empty prediction, scored as it is: u0" in told
    assert any(line.startswith(f"{second}: 1 there more than once") for line in told)
    content = json.loads(done.stdout)
    assert content["comparison"]["alone"] == ["u1"]
    assert content["comparison"]["remarks"]["marked as failed"] == ["line 3"]
    assert len(content["remarks"]) == 2


def test_calibration_error_of_confidences(tmp_path: Path) -> None:
    pairs = [("one two", "one two"), ("three four", "three for")]
    words: list[object] = [
        [{"word": w, "confidence": c} for w, c in zip(hyp.split(), given, strict=True)]
        for (_, hyp), given in zip(pairs, [(0.9, 0.9), (0.9, 0.3)], strict=True)
    ]
    path = write(tmp_path / "a.jsonl", pairs, words=words)
    expected = (3 * 0.1 + 0.3) / 4
    content = json.loads(run("--dir_path", path, "--json").stdout)
    assert content["calibration_error"] == pytest.approx(expected)
    assert sum(count for *_, count in content["reliability"]) == 4
    line = "Expected calibration error: 15.00 % in the confidences of 4 words\n"
    assert line in run("--dir_path", path).stdout
    assert line in run("--dir_path", path, "--markdown").stdout


@pytest.mark.parametrize("option", ["--worst", "--confusions"])
def test_numbers_below_zero_are_refused(scored: Path, option: str) -> None:
    done = run("--dir_path", scored, option, "-1")
    assert done.returncode == 2
    assert f"argument {option}: must be a number from 0, but is '-1'" in done.stderr


def test_a_reader_may_leave_early(scored: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, str(ROOT / "calc_wer_cer.py"), "--dir_path", str(scored)]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert done.returncode == 141
    assert b"Error" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "m.jsonl cannot be read: No such file or directory"),
        (b'{"id": "u0"}\n{"id"', "m.jsonl, line 2, is not valid JSON"),
        (b'{"id": "\xe9"}', "m.jsonl cannot be read: it is not UTF-8"),
    ],
)
def test_a_manifest_that_is_malformed(
    scored: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    manifest = tmp_path / "m.jsonl"
    if content is not None:
        manifest.write_bytes(content)
    done = run("--dir_path", scored, "--manifest", manifest)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
