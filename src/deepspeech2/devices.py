"""The device, its precision and threads, and how it reports that it is full."""

from __future__ import annotations

import logging
from functools import cache
from typing import Literal

import torch
from torch import nn

from deepspeech2.errors import ConfigError
from deepspeech2.escaping import first_line
from deepspeech2.hardware import cpus

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
PRECISIONS: dict[str, Precision] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}
DEVICES = "auto, cpu, cuda, cuda:N or mps"
LIMITED = frozenset({"mps"})
"""Types of devices that run the network alone: they have neither CTC nor float64.

So it is with Apple's GPU in torch 2.11 (aten/src/ATen/native/native_functions.yaml). Its FFT needs
macOS 14 and is wrong for some sizes (pytorch/pytorch#126649).
"""

log = logging.getLogger(__name__)


def pick_device(name: str) -> torch.device:
    """Return the device ``name``; ``auto`` is the GPU if there is one: NVIDIA's, else Apple's.

    ``auto`` passes over an Apple GPU that fails :func:`agrees`.

    Raises:
        ConfigError: the device does not exist here.
    """
    if name == "auto":
        return _best()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device must be {DEVICES}, but is {name!r}") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"device must be {DEVICES}, but is {name!r}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"device is {name!r}, but torch sees no Apple GPU here: use auto or cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device is {name!r}, but torch sees no GPU here: use auto or cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device is {name!r}, but there are {torch.cuda.device_count()} GPUs")
    return device


def _best() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        apple = torch.device("mps")
        if agrees(apple):
            return apple
        log.warning("Apple's GPU computes a small network wrongly, or not at all: the CPU is used")
    return torch.device("cpu")


@cache
def agrees(device: torch.device) -> bool:
    """Whether a small GRU and its gradient come out on ``device`` as on the CPU.

    Recurrent layers have returned NaN on Apple's GPU (pytorch/pytorch#94691).
    """
    results: list[list[torch.Tensor]] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        layer, data = nn.GRU(8, 8, batch_first=True), torch.randn(2, 32, 8)
    try:
        for place in (torch.device("cpu"), device):
            layer.to(place).zero_grad()
            out = layer(data.to(place))[0]
            out.square().sum().backward()
            gradients = [weight.grad for weight in layer.parameters() if weight.grad is not None]
            results.append([each.detach().cpu() for each in (out, *gradients)])
    except (RuntimeError, TypeError):  # an operator or a type that the device lacks
        return False
    pairs = zip(*results, strict=True)
    return all(torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4) for ours, theirs in pairs)


def beside(device: torch.device) -> torch.device:
    """Return where front end and loss run for a network on ``device``: there, or on the CPU."""
    return torch.device("cpu") if device.type in LIMITED else device


def widest_float(device: torch.device) -> torch.dtype:
    """Return float64, or float32 where ``device`` has no float64."""
    return torch.float32 if device.type in LIMITED else torch.float64


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


def compile_network(network: nn.Module, device: torch.device) -> None:
    """Have ``network.compile`` make kernels for batches of any size, from its first call on.

    Raises:
        ConfigError: there is no compiler on this machine that torch can use.
    """
    probe = torch.compile(torch.square)
    try:
        probe(torch.ones(2, device=device))
    except Exception as error:  # each back end has its own
        cause = getattr(error, "inner_exception", error)
        raise ConfigError(
            f"trainer.compile=true, but torch cannot compile for {device} here"
            f" ({first_line(cause)}): install what it names, or set trainer.compile=false"
        ) from error
    network.compile(dynamic=True)


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
    if name != "32" and device.type == "mps":
        raise ConfigError(f"precision {name} is not tried on Apple's GPU: use 32 or auto")
    if name == "bf16" and device.type == "cpu" and not cpu_has_bf16():
        raise ConfigError(
            "precision is bf16, but this processor has no instructions for it, and imitating them"
            " is slow: use 32"
        )
    return PRECISIONS[name]


def cpu_has_bf16() -> bool:
    """Whether this processor multiplies in bfloat16, and torch is built to let it."""
    from llvmlite.binding import get_host_cpu_features  # a tenth of a second

    features = get_host_cpu_features()
    known = ("avx512bf16", "amx-bf16", "bf16")  # the last is that of ARM
    built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return built and any(features.get(each) for each in known)


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` means that a device's memory, or the machine's, is used up."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    words = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC")
    return isinstance(error, RuntimeError) and any(each in str(error) for each in words)
