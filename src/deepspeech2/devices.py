"""The device, its precision and threads, and how it reports that it is full."""

from __future__ import annotations

from typing import Literal

import torch

from deepspeech2.errors import ConfigError
from deepspeech2.hardware import cpus

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
PRECISIONS: dict[str, Precision] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


def pick_device(name: str) -> torch.device:
    """Return the device ``name``; ``auto`` is the GPU if there is one.

    Raises:
        ConfigError: the device does not exist here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, but is {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, but is {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device is {name!r}, but torch sees no GPU here: use auto or cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device is {name!r}, but there are {torch.cuda.device_count()} GPUs")
    return device


def use_threads(threads: int | None) -> None:
    """Set the number of torch's CPU threads.

    Args:
        threads: None for torch's own choice, which ignores a container's quota, but no more than
            there are processors for this process.

    Raises:
        ConfigError: it is less than 1.
    """
    if threads is None:
        threads = min(torch.get_num_threads(), cpus())
    if threads < 1:
        raise ConfigError(f"threads must be at least 1, but is {threads}")
    torch.set_num_threads(threads)


def pick_precision(name: str, device: torch.device) -> Precision:
    """Return Fabric's word for ``name``; ``auto`` is bf16 on GPUs that have it, else 32.

    Raises:
        ConfigError: there is no such precision, or not on ``device``.
    """
    if name == "auto":
        bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return "bf16-mixed" if bf16 else "32-true"
    if name not in PRECISIONS:
        allowed = ", ".join(["auto", *PRECISIONS])
        raise ConfigError(f"precision must be one of {allowed}, but is {name!r}")
    if name == "16" and device.type == "cpu":
        raise ConfigError("precision 16 needs a GPU: use 32 or bf16 on the CPU")
    return PRECISIONS[name]


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` means that a device's memory, or the machine's, is used up."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    words = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC")
    return isinstance(error, RuntimeError) and any(each in str(error) for each in words)
