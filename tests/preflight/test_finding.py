"""How findings are told."""

from __future__ import annotations

from deepspeech2.extras.checks import Finding, render


def test_findings_are_grouped_by_area() -> None:
    findings = [
        Finding("ok", "machine: disk", "9.0 GB are free"),
        Finding("error", "config: model", "size is -1", "Set it to 1."),
        Finding("warning", "machine: W&B", "no key", "Run `wandb login`."),
    ]
    assert render(findings).splitlines() == [
        "machine",
        "  ok       disk: 9.0 GB are free",
        "  warning  W&B: no key",
        "           -> Run `wandb login`.",
        "",
        "config",
        "  error    model: size is -1",
        "           -> Set it to 1.",
        "",
        "1 error, 1 warning, 1 ok",
    ]


def test_one_finding_in_a_log() -> None:
    assert str(Finding("warning", "a: b", "c", "Do d.")) == "a: b: c. Do d."
    assert str(Finding("ok", "a: b", "c")) == "a: b: c"
