"""What a check found, and the report that a terminal or a log shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from deepspeech2.escaping import one_line

Severity = Literal["ok", "warning", "error"]
MOST_NAMES = 5
_WIDTH = max(map(len, get_args(Severity)))


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        severity: "error" if training would fail or its numbers would mean nothing, "warning" if
            it would run with less than was asked for, otherwise "ok".
        check: what was looked at, "area: subject", as in "datasets.train: silence".
        found: the values and names.
        remedy: one sentence; empty where there is nothing to do.
    """

    severity: Severity
    check: str
    found: str
    remedy: str = ""

    @property
    def area(self) -> str:
        """The part of ``check`` before the colon."""
        return self.check.partition(": ")[0]

    def __str__(self) -> str:
        """One line for a log."""
        return f"{self.check}: {self.found}" + (f". {self.remedy}" if self.remedy else "")


def few(names: Sequence[str]) -> str:
    """The first five names and how many more there are.

    >>> few(["a", "b"])
    'a, b'
    >>> few(list("abcdefgh"))
    'a, b, c, d, e and 3 more'
    """
    listed = ", ".join(names[:MOST_NAMES])
    return f"{listed} and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else listed


def quantity(number: int, noun: str) -> str:
    """A count with its noun.

    >>> quantity(1, "utterance"), quantity(281241, "utterance")
    ('1 utterance', '281,241 utterances')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def render(findings: Iterable[Finding]) -> str:
    """All findings by area, in the order in which areas first occur, and a last line of counts."""
    by_area: dict[str, list[Finding]] = {}
    for finding in findings:
        by_area.setdefault(finding.area, []).append(finding)
    lines: list[str] = []
    counts: Counter[str] = Counter()
    for area, its_findings in by_area.items():
        lines.append(area)
        for finding in its_findings:
            counts[finding.severity] += 1
            subject = finding.check.removeprefix(area).removeprefix(": ")
            text = one_line(f"{subject}: {finding.found}")
            lines.append(f"  {finding.severity:<{_WIDTH}}  {text}")
            if finding.remedy:
                lines.append(f"  {'':<{_WIDTH}}  -> {one_line(finding.remedy)}")
        lines.append("")
    errors, warnings = quantity(counts["error"], "error"), quantity(counts["warning"], "warning")
    lines.append(f"{errors}, {warnings}, {counts['ok']} ok")
    return "\n".join(lines)
