"""The line that every benchmark ends with."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version

import torch

from deepspeech2.hardware import cpus, processor


def machine() -> dict[str, object]:
    """What the figures depend on: processor, load, threads, accelerator."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "platform": platform.platform(),
        "processor": processor(),
        "cpus": cpus(),
        "load": round(os.getloadavg()[0], 2),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def report(
    name: str,
    *,
    ours: float,
    theirs: float,
    unit: str,
    packages: tuple[str, ...] = ("torch",),
    higher_is_better: bool = True,
    **details: object,
) -> str:
    """The JSON line of one measurement; ``ratio`` above 1 means that ours is better.

    Args:
        name: of the benchmark.
        ours, theirs: the two figures, in ``unit``.
        unit: for example ``frames/s``.
        packages: whose versions to state, besides Python's.
        higher_is_better: false for durations and error rates.
        details: anything else worth recording.
    """
    ratio = ours / theirs if higher_is_better else theirs / ours
    versions = {"python": platform.python_version()} | {each: version(each) for each in packages}
    result = {"name": name, "ours": ours, "theirs": theirs, "ratio": round(ratio, 3), "unit": unit}
    return json.dumps(result | details | {"versions": versions, "machine": machine()})
