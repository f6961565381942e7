"""What a check found, and how findings are told."""

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
    findings = list(findings)
    lines: list[str] = []
    for area in dict.fromkeys(finding.area for finding in findings):
        lines.append(area)
        for finding in (finding for finding in findings if finding.area == area):
            subject = finding.check.removeprefix(area).removeprefix(": ")
            lines.append(
                f"  {finding.severity:<{_WIDTH}}  {one_line(f'{subject}: {finding.found}')}"
            )
            if finding.remedy:
                lines.append(f"  {'':<{_WIDTH}}  -> {one_line(finding.remedy)}")
        lines.append("")
    counts = Counter(finding.severity for finding in findings)
    lines.append(
        f"{quantity(counts['error'], 'error')}, {quantity(counts['warning'], 'warning')},"
        f" {counts['ok']} ok"
    )
    return "\n".join(lines)
