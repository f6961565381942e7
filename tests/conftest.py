"""Fixtures that every room shares."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from deepspeech2.decoding.beam import cpu
from deepspeech2.model import gru_cpu

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)

# The same examples each time, on any machine; --hypothesis-profile=default looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def speech_data() -> Path:
    """The folder of real speech; tests that need it skip where it is absent."""
    path = ROOT / os.environ.get("SPEECH_DATA", "../shared/data")
    if not (path / "LibriSpeech").is_dir():
        pytest.skip("real speech is absent (SPEECH_DATA names its folder)")
    return path


@pytest.fixture(scope="session")
def speech_cases(speech_data: Path) -> Path:
    """Small inputs of kinds that people have; tests that need them skip where they are absent."""
    path = speech_data.parent / "cases"
    if not path.is_dir():
        pytest.skip("the small cases beside the real speech are absent")
    return path


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is most of a toy training: only tests marked ``figures`` look at what is drawn."""
    trainer = sys.modules.get("deepspeech2.trainer.figures")
    if trainer and not request.node.get_closest_marker("figures"):
        for name in ("augmentation", "curves", "emissions"):
            monkeypatch.setattr(trainer.Figures, name, lambda *_, **__: None)


def pytest_configure(config: pytest.Config) -> None:
    """Compile machine code before the workers start: each would compile the same."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        gru_cpu.compile_kernels()
        if gru_cpu.has_amx():
            gru_cpu.compile_kernels(amx=True)
        cpu._compile()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole programs and the documentation are tested by ``make test-all``."""
    for item in items:
        if item.path.relative_to(ROOT).parts[1] in ("docs", "system"):
            item.add_marker("slow")


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
