"""What others wrote is harmless where it is shown."""

from __future__ import annotations

import csv
import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from tqdm import tqdm

from deepspeech2.commands.score import main
from deepspeech2.console import enduring
from deepspeech2.datasets.corpus import Exclusion
from deepspeech2.errors import SpeechError, run_command
from deepspeech2.escaping import fenced, html_text, markdown_cell, one_line, sheet_cell, visible
from deepspeech2.extras import checks
from deepspeech2.trainer import logging_to
from deepspeech2.writer import JsonlWriter

CLEAR = "\x1b[2J"
NASTY = [f"a{CLEAR}b", "c\rd", "e\x9b31mf", "g\u202eh", "\x07", "i\u2028j"]


@pytest.mark.parametrize("text", NASTY)
def test_control_characters_are_shown_as_what_they_are(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert json.loads(f'"{shown}"') == text  # a JSON document stays the same one
    assert html_text(text).isprintable()


def test_what_is_harmless_stays() -> None:
    text = "naïve \u0644\u200f 한국 👩\u200d👧\n\tx"
    assert visible(text) == text
    assert "\n" not in one_line(text)


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-x", "@sum", " =1", "\t=1", "\uff1d1", "-1+2"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert sheet_cell(text).startswith("'")


@pytest.mark.parametrize("text", ["-1", "+1.5e-3", "-.5", "12 %", "a=b", "", "don't"])
def test_other_cells_stay(text: str) -> None:
    assert sheet_cell(text) == text


def test_markdown_gets_no_cell_row_or_block_of_its_own() -> None:
    assert markdown_cell("a|b\nc<img>") == "a\\|b c&lt;img>"
    assert fenced("```` x").splitlines()[0] == "`````"


def test_streams_show_escapes_and_bars_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    def task() -> int:
        print(NASTY[0])
        for _ in tqdm(range(2), desc="bar"):
            pass
        raise SpeechError(f"no file {NASTY[0]}")

    assert run_command(task) == 2
    shown = capsys.readouterr()
    assert shown.out == "a\\u001b[2Jb\n"
    assert "\rbar" in shown.err
    assert CLEAR not in shown.err
    assert "no file a\\u001b[2Jb" in shown.err


def test_the_log_shows_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with enduring("stdout", "stderr"), logging_to(tmp_path / "info.log"):
        logging.getLogger("deepspeech2.test").warning("%s", NASTY[0])
    assert CLEAR not in capsys.readouterr().out
    assert "a\\u001b[2Jb" in (tmp_path / "info.log").read_text("utf-8")


FORGED = "a.wav\n2026-01-01 00:00:00,000 INFO deepspeech2.trainer: best model  val/WER 0.00 %"


def test_no_name_looks_like_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("deepspeech2.test")
    with enduring("stdout", "stderr"), logging_to(tmp_path / "info.log"):
        log.warning("left out: %s", FORGED)
        log.error("%s; training goes on", SpeechError(FORGED))
        log.warning(checks.report(FORGED, [Exclusion(FORGED, FORGED)]))
    with enduring("stdout", "stderr"), no_handler_but_the_last():
        log.warning("left out: %s", FORGED)  # as in a command without a log
    shown = capsys.readouterr()
    for lines in (shown.out, shown.err, (tmp_path / "info.log").read_text("utf-8")):
        assert "a.wav\\u000a2026" in lines
        assert not any(line.startswith("2026-01-01") for line in lines.splitlines())
    assert len((tmp_path / "info.log").read_text("utf-8").splitlines()) == 4


@contextmanager
def no_handler_but_the_last() -> Iterator[None]:
    """Within, nothing but Python's last resort handles messages: pytest has handlers of its own."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = before


def test_the_doctor_shows_one_line(tmp_path: Path) -> None:
    found = checks.Finding("error", "datasets: x", "a\n  ok     b", "c\x1bd")
    assert [line.strip() for line in checks.render([found]).splitlines()] == [
        "datasets", "error    x: a\\u000a  ok     b".strip(), "-> c\\u001bd", "",
        "1 error, 0 warnings, 0 ok",
    ]  # fmt: skip


def test_tables_of_a_run_have_no_formula(tmp_path: Path) -> None:
    writer = JsonlWriter(run_dir=tmp_path)
    writer.table("t", pd.DataFrame({"id": ["=1", None], "WER": [-0.5, 1.0]}), 1)
    writer.close()
    (path,) = (tmp_path / "tables").glob("*.csv")
    assert path.read_text("utf-8-sig") == "id,WER\n'=1,-0.5\n,1.0\n"


@pytest.mark.parametrize("form", ["text", "csv", "markdown", "json"])
def test_reports_of_others_predictions(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"id": text, "text": "=a|b ```", "pred_text": f"=b {text}"}
        for text in (f"=id{CLEAR}", "x|y\nWER: 0 %", "<b>```")
    ]
    file, page = tmp_path / "p.jsonl", tmp_path / "page.html"
    rows[0]["speaker"] = rows[0]["pred_text"] = "g\u202eh \u2066i"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    words = ["calc_wer_cer.py", "--dir_path", str(file), "--worst", "3"]
    words += ["--html", str(page)] if form == "text" else [f"--{form}"]
    monkeypatch.setattr(sys, "argv", words)
    assert main("") == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert not any(line.startswith("WER: 0 %") for line in shown.splitlines())
    if form == "csv":
        table = list(csv.reader(io.StringIO(shown)))
        assert len(table) == 4
        assert {len(row) for row in table} == {len(table[0])}
        assert not any(cell.startswith("=") for row in table for cell in row)
    elif form == "markdown":
        assert "````" in shown
    elif form == "json":
        assert json.loads(shown)["utterances"] == 3
    else:
        data = page.read_text("utf-8").split('id="data"')[1].split(">", 1)[1]
        data = data.split("</script>")[0]
        # as the page's script has it; backslashes of the texts themselves are of no interest
        read = json.dumps(json.loads(data), ensure_ascii=False).replace("\\\\", "")
        assert all(mark not in read for mark in ("\x1b", "\\u001b", "\u202e", "\u2066"))
        assert "gu202eh" in read
        assert "<b>" not in data
