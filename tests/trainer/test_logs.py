"""Who says what: the first rank everything, the others only their warnings, to a file."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from deepspeech2.trainer.run_folder import IN_FILE, logging_to


def test_ranks_do_not_repeat_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("deepspeech2.trainer.anything")
    for rank in (0, 1, 2):
        with logging_to(tmp_path / "info.log", rank):
            log.info("an epoch of rank %d", rank)
            if rank < 2:
                log.warning("a broken file of rank %d", rank)
    assert capsys.readouterr().out == "an epoch of rank 0\na broken file of rank 0\n"
    assert {path.name for path in tmp_path.iterdir()} == {"info.log", "info-rank1.log"}
    assert "an epoch of rank 0" in (tmp_path / "info.log").read_text("utf-8")
    second = (tmp_path / "info-rank1.log").read_text("utf-8")
    assert "a broken file of rank 1" in second
    assert "an epoch" not in second


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_progress_bar_shows_is_not_printed_beside_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    with logging_to(tmp_path / "info.log"):
        logging.getLogger("deepspeech2.trainer").info("step 50", extra=IN_FILE)
    assert ("step 50" in capsys.readouterr().out) is not terminal
    assert "step 50" in (tmp_path / "info.log").read_text("utf-8")
