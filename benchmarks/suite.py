"""The benchmarks that ``make bench`` runs, and what each of them needs."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

TEST_PARTS, DEV_PARTS = ("test-clean-35m", "test-clean"), ("dev-clean-70m", "dev-clean")
"""Of LibriSpeech: the first that is there is measured."""


@dataclass(frozen=True)
class Given:
    """What there is to measure with.

    Attributes:
        data: the folder that holds ``LibriSpeech/``, if there is such a folder.
        checkpoint: of a trained model.
        lm: an ARPA file.
    """

    data: Path
    checkpoint: Path | None = None
    lm: Path | None = None

    def part(self, names: tuple[str, ...]) -> str | None:
        """The first of some parts of LibriSpeech that is there."""
        folder = self.data / "LibriSpeech"
        return next((name for name in names if (folder / name).is_dir()), None)


class Need(NamedTuple):
    """Something that a machine may lack.

    Attributes:
        what: a noun.
        remedy: how to get it, as a command to the user.
        is_met: whether it is there.
    """

    what: str
    remedy: str
    is_met: Callable[[Given], bool]


def _speech(parts: tuple[str, ...]) -> Need:
    return Need(
        f"LibriSpeech's {parts[-1]}",
        "set SPEECH_DATA to a folder that holds "
        f"LibriSpeech/{parts[-1]}, from https://www.openslr.org/12",
        lambda given: given.part(parts) is not None,
    )


def _has_gpu(given: Given) -> bool:
    import torch  # takes seconds, which only this question is worth

    return torch.cuda.is_available()


TEST_SPEECH, DEV_SPEECH = _speech(TEST_PARTS), _speech(DEV_PARTS)
CHECKPOINT = Need(
    "a trained model",
    "train one, then make bench CHECKPOINT=PATH",
    lambda given: given.checkpoint is not None,
)
ARPA = Need(
    "a language model",
    "make one with scripts/train_lm.py, then make bench LM=PATH",
    lambda given: given.lm is not None,
)
PEER = Need(
    "another package's beam search",
    ".venv/bin/pip install fast-ctc-decode flashlight-text",
    lambda given: bool(find_spec("fast_ctc_decode") or find_spec("flashlight")),
)
FLASHLIGHT = Need(
    "flashlight-text",
    ".venv/bin/pip install flashlight-text",
    lambda given: find_spec("flashlight") is not None,
)
SPHINX = Need(
    "PocketSphinx",
    ".venv/bin/pip install pocketsphinx",
    lambda given: find_spec("pocketsphinx") is not None,
)
ONNX = Need(
    "ONNX Runtime",
    ".venv/bin/pip install -r requirements-onnx.txt",
    lambda given: bool(find_spec("onnx") and find_spec("onnxruntime")),
)
GPU = Need("a GPU", "run it on a machine with CUDA", _has_gpu)


@dataclass(frozen=True)
class Benchmark:
    """A command line.

    Attributes:
        module: run as ``python -m``.
        options: literally, but for what :func:`chosen` and :func:`places` stand for.
        needs: what it cannot run without.
        stands_in_for: a benchmark that measures the same and more; this one runs where the
            other cannot.
    """

    module: str
    options: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    stands_in_for: str | None = None

    def missing(self, given: Given) -> list[Need]:
        """The needs that are not met."""
        return [need for need in self.needs if not need.is_met(given)]

    def shown(self, given: Given) -> list[str]:
        """The command as a reader sees it, with names in place of paths."""
        options = [chosen(given).get(option, option) for option in self.options]
        return ["python", "-m", self.module, *options]

    def arguments(self, given: Given) -> list[str]:
        """What follows ``python``."""
        return [places(given).get(each, each) for each in self.shown(given)[1:]]


def chosen(given: Given) -> Mapping[str, str]:
    """Options that depend on what there is, and that a reader should see."""
    return {
        "TEST_PART": given.part(TEST_PARTS) or TEST_PARTS[-1],
        "DEV_PART": given.part(DEV_PARTS) or DEV_PARTS[-1],
        "VARIANTS": "--variants" if can_compile() else "--no-variants",
    }


def places(given: Given) -> Mapping[str, str]:
    """Paths of this machine, which are no reader's business, by the names that stand for them."""
    found = {"SPEECH_DATA": given.data, "CHECKPOINT": given.checkpoint, "LM": given.lm}
    return {name: str(path) for name, path in found.items() if path is not None}


def can_compile() -> bool:
    """Whether torch.compile, one of the variants, finds a C++ compiler and Python's headers."""
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    return bool(compiler) and (Path(sysconfig.get_path("include")) / "Python.h").is_file()


_SPEECH = ("--data", "SPEECH_DATA", "--part")

BY_THEMSELVES = (
    "benchmarks.load", "benchmarks.segmentation", "benchmarks.streaming", "benchmarks.suspects",
)  # fmt: skip
"""Programs whose needs are their own: locust, speech to change, a model that streams."""

BENCHMARKS: Mapping[str, Benchmark] = {
    "train_step": Benchmark("benchmarks.train_step", ("--device", "cpu", "--no-variants")),
    "train_step_cuda": Benchmark("benchmarks.train_step", ("--device", "cuda", "VARIANTS"), (GPU,)),
    "data_path": Benchmark("benchmarks.data_path", (*_SPEECH, "TEST_PART"), (TEST_SPEECH,)),
    "planning": Benchmark("benchmarks.planning"),
    "ranks": Benchmark("benchmarks.ranks"),
    "scoring": Benchmark("benchmarks.scoring"),
    "inference": Benchmark(
        "benchmarks.inference",
        (*_SPEECH, "TEST_PART", "--checkpoint", "CHECKPOINT"),
        (SPHINX, CHECKPOINT, TEST_SPEECH),
    ),
    "formats": Benchmark(
        "benchmarks.formats",
        (*_SPEECH, "TEST_PART", "--checkpoint", "CHECKPOINT"),
        (ONNX, CHECKPOINT, TEST_SPEECH),
    ),
    "long_audio": Benchmark(
        "benchmarks.long_audio",
        (*_SPEECH, "TEST_PART", "DEV_PART", "--checkpoint", "CHECKPOINT"),
        (CHECKPOINT, TEST_SPEECH, DEV_SPEECH),
    ),
    "decoding": Benchmark(
        "benchmarks.decoding",
        ("--checkpoint", "CHECKPOINT", *_SPEECH, "TEST_PART"),
        (PEER, CHECKPOINT, TEST_SPEECH),
    ),
    "decoding_synthetic": Benchmark("benchmarks.decoding", (), (PEER,), stands_in_for="decoding"),
    "language_model": Benchmark(
        "benchmarks.language_model",
        ("--checkpoint", "CHECKPOINT", "--lm", "LM", *_SPEECH, "DEV_PART"),
        (FLASHLIGHT, CHECKPOINT, ARPA, DEV_SPEECH),
    ),
}
