"""The rounds of a folder: each has a place of its own, and a text file names the one in use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.files import write_whole
from deepspeech2.tables import text_table

CURRENT, PLAN, REPORT = "current", "plan.json", "report.json"
TRAIN, TEST, RUN = "train.jsonl", "test.jsonl", "run"
Plain = dict[str, Any]


class Rounds:
    """The rounds below ``folder/rounds``: ``001``, ``002``, ...; none is ever overwritten.

    A round has ``plan.json`` from its beginning and ``report.json`` when it is finished. Round 0
    is the model that the first one started from. ``current`` contains the number in use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "rounds"

    def place(self, number: int) -> Path:
        return self.folder / f"{number:03d}"

    @property
    def numbers(self) -> list[int]:
        """Of all rounds that were begun, ascending."""
        return sorted(
            int(path.parent.name)
            for path in self.folder.glob(f"*/{PLAN}")
            if path.parent.name.isdecimal()
        )

    @property
    def unfinished(self) -> int | None:
        """The round that was begun and has no report."""
        numbers = [each for each in self.numbers if not (self.place(each) / REPORT).is_file()]
        return numbers[-1] if numbers else None

    @property
    def current(self) -> int:
        """The round in use; 0 before any.

        Raises:
            ManifestError: the file names none.
        """
        path = self.folder / CURRENT
        if not path.exists():
            return 0
        content = path.read_text("utf-8").strip()
        number = int(content) if content.isdecimal() else -1
        if number and number not in self.numbers:
            raise ManifestError(f"{path} must contain the number of a round, but has {content!r}")
        return number

    def use(self, number: int) -> None:
        """Make a finished round the one in use, or 0.

        Raises:
            ConfigError: there is no such round, or it is not finished.
        """
        if number and not (self.place(number) / REPORT).is_file():
            finished = [0, *(each for each in self.numbers if each != self.unfinished)]
            raise ConfigError(
                f"round {number} is not finished or does not exist: choose one of"
                f" {', '.join(map(str, finished))}"
            )
        write_whole(self.folder / CURRENT, f"{number}\n")

    def checkpoint(self, number: int, first: Path) -> Path:
        """The model of a round; ``first`` is that of round 0."""
        return self.place(number) / RUN / "model_best.pth" if number else first

    def plan(self, number: int) -> Plain:
        return _read(self.place(number) / PLAN)

    def reports(self) -> list[Plain]:
        """Of the finished rounds, in order."""
        paths = [self.place(number) / REPORT for number in self.numbers]
        return [_read(path) for path in paths if path.is_file()]

    def table(self) -> str:
        """The rounds with their figures, a line each; ``*`` is in use."""
        rows = []
        for report in self.reports():
            difference = report["difference"]
            rows.append(
                [
                    f"{report['round']}{'*' if report['round'] == self.current else ''}",
                    str(report["from"]),
                    str(report["corrected"]),
                    str(report["sure"]),
                    str(report["tested"]),
                    f"{100 * report['before']:.2f}",
                    f"{100 * report['after']:.2f}",
                    f"{100 * difference['low']:+.2f} to {100 * difference['high']:+.2f}",
                ]
            )
        header = ["round", "from", "corrected", "sure", "tested", "before", "after", "95 %"]
        return text_table(header, rows)


def _read(path: Path) -> Plain:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ManifestError(f"{path} is damaged ({error}): move its folder away") from error
    if not isinstance(content, dict):
        raise ManifestError(f"{path} is damaged: move its folder away")
    return content


def write(path: Path, content: Plain) -> None:
    write_whole(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
