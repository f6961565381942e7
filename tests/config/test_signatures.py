"""A wrong value of a component is told before torch is imported, by the component's own source."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import get_class

from deepspeech2.config.signatures import in_source, of_class
from deepspeech2.paths import ROOT

TARGETS = sorted(
    {
        word.strip("{},")
        for path in (ROOT / "configs").rglob("*.yaml")
        for line in path.read_text("utf-8").splitlines()
        if "_target_:" in line
        for word in [line.partition("_target_:")[2].split()[0]]
        if word.strip("{},").startswith("deepspeech2.")
    }
)


@pytest.mark.parametrize("target", TARGETS)
def test_source_says_what_the_imported_class_says(target: str) -> None:
    read, asked = in_source(target), of_class(get_class(target))
    if read is None:  # inherits its constructor
        assert "__init__" not in vars(get_class(target)), target
        return
    assert list(read.hints) == list(asked.hints)
    assert read.takes_any == asked.takes_any
    for name, hint in read.hints.items():
        assert hint is None or hint == asked.hints[name], name


def test_most_annotations_are_read_without_an_import() -> None:
    read = [hint for target in TARGETS if (s := in_source(target)) for hint in s.hints.values()]
    assert sum(hint is not None for hint in read) > 0.8 * len(read)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.rnn_size=abc"], "model.rnn_size must be a whole number, but is 'abc'"),
        (["+model.foo=3"], "model.foo=3 does not exist"),
        (["decoder=beam", "decoder.beam_size=many"], "decoder.beam_size must be a whole number"),
        (["++loss_function.zero_infinity=3"], "loss_function.zero_infinity must be true or false"),
        (["+datasets.train.limit=few"], "datasets.train.limit must be a whole number or null"),
    ],
)
def test_a_wrong_value_of_a_component_is_told_without_torch(
    words: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "-cn=demo", *words],
        capture_output=True, text=True, env=environment, cwd=ROOT, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr
