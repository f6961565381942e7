"""Apple's GPU, which the tests do not have: what runs there and what beside it.

The GPU that is not there of ``test_fake_cuda`` takes its place, declared to lack what Apple's
lacks; which kernels Apple's has is read from torch's own list.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import soundfile
import torch
import torchgen
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchgen.gen import get_grouped_native_functions, parse_native_yaml
from torchgen.model import DispatchKey, NativeFunctionsGroup

from deepspeech2 import devices
from deepspeech2.devices import agrees, pick_device, pick_precision
from deepspeech2.engine import Engine
from deepspeech2.errors import ConfigError
from deepspeech2.inference.streaming import _Stream
from deepspeech2.model.streaming_network import StreamingNetwork
from deepspeech2.optim.muon import Muon
from deepspeech2.trainer import Learner
from deepspeech2.transforms.streaming_front_end import StreamingFrontEnd
from deepspeech2.types import Padded
from tests.engine.test_fake_cuda import CUDA, config, gpu, parts
from tests.trainer.small import as_batch, make_learner, noise

__all__ = ["gpu"]
CPU, MPS = torch.device("cpu"), torch.device("mps")
NETWORKS = [
    "model=tiny",
    "model=streaming model.rnn_layers=1",
    "model.rnn_type=lstm",
    "model.rnn_type=rnn",
]


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    accelerator = "lightning_fabric.accelerators.mps.MPSAccelerator"
    monkeypatch.setattr(f"{accelerator}.is_available", lambda: True)


@pytest.mark.parametrize(
    ("cuda", "mps", "right", "chosen"),
    [
        (True, True, True, "cuda"),
        (False, True, True, "mps"),
        (False, True, False, "cpu"),
        (False, False, True, "cpu"),
    ],
)
def test_auto_takes_nvidias_gpu_then_apples(
    cuda: bool, mps: bool, right: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
    monkeypatch.setattr(devices, "agrees", lambda device: right)
    assert pick_device("auto").type == chosen


def test_a_gpu_that_fails_or_is_wrong_does_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    agrees.cache_clear()
    assert agrees(CPU)
    assert not agrees(torch.device("meta"))  # which has no values to compare
    agrees.cache_clear()
    true, seen = nn.GRU.forward, []

    def wrong(layer: nn.GRU, data: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(data)
        out, state = true(layer, data)
        return out * (1.0 if len(seen) == 1 else torch.nan), state

    monkeypatch.setattr(nn.GRU, "forward", wrong)
    assert not agrees(CPU)
    agrees.cache_clear()


def test_a_device_that_is_not_there_or_cannot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(ConfigError, match="'mps', but torch sees no Apple GPU here: use auto"):
        pick_device("mps")
    assert pick_precision("auto", MPS) == pick_precision("32", MPS) == "32-true"
    for name in ("bf16", "16"):
        with pytest.raises(ConfigError, match=f"precision {name} is not tried on Apple's GPU"):
            pick_precision(name, MPS)


@pytest.mark.usefixtures("apple")
def test_the_engine_asks_the_right_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.mps.driver_allocated_memory", lambda: 3 * 2**30)
    emptied: list[bool] = []
    monkeypatch.setattr("torch.mps.empty_cache", lambda: emptied.append(True))
    engine = Engine("mps", threads=1)
    assert (engine.device.type, engine.precision, engine.fuses) == ("mps", "32-true", False)
    assert engine.peak_memory() == 3
    engine.release_memory()
    assert emptied == [True]
    monkeypatch.setattr("torch.distributed.is_torchelastic_launched", lambda: True)
    with pytest.raises(ConfigError, match="device mps takes one process"):
        Engine("mps", threads=1)


class Watch(TorchDispatchMode):
    """Notes the operators that run on the GPU, and refuses types of which Apple's has none."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.operators: set[str] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves((args, kwargs, out)) if isinstance(each, Tensor)]
        for each in tensors:
            if each.device == self.device:
                assert each.dtype not in (torch.float64, torch.complex64), function
                if function.namespace == "aten":
                    self.operators.add(str(function).removeprefix("aten."))
        return out


@pytest.fixture(scope="module")
def lacking() -> Any:
    """A function that returns those of some operators that torch has no kernel of Apple's for."""
    folder = Path(torchgen.__file__).parent / "packaged/ATen/native"
    listed = parse_native_yaml(str(folder / "native_functions.yaml"), str(folder / "tags.yaml"))
    kernels = listed.backend_indices[DispatchKey.MPS]
    there = set()
    for group in get_grouped_native_functions(listed.native_functions):
        grouped = isinstance(group, NativeFunctionsGroup)
        for function in group.functions() if grouped else [group]:
            of_group = function.structured_delegate is not None and kernels.has_kernel(group)
            if function.has_composite_kernel or kernels.has_kernel(function) or of_group:
                name = function.func.name
                there.add(f"{name.name}.{name.overload_name or 'default'}")
    return lambda operators: {each for each in operators if each not in there}


@pytest.mark.parametrize("options", NETWORKS)
def test_torch_has_kernels_for_the_network_and_its_gradient(options: str, lacking: Any) -> None:
    pipeline, _ = parts(config("demo", *options.split()))
    network = pipeline.network.to("meta")
    optimizers = (torch.optim.AdamW(network.parameters()), Muon(network.parameters(), lr=1e-3))
    lengths = torch.empty(2, dtype=torch.int64, device="meta")
    features = torch.empty(2, 16, pipeline.front_end.n_features, device="meta")
    with (
        mock.patch.object(devices, "LIMITED", {"meta"}),
        Watch(torch.device("meta")) as watch,
    ):
        network(Padded(features, lengths)).data.sum().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
    assert len(watch.operators) > 60
    assert not lacking(watch.operators)
    # what the network is taken apart for: once torch has it, `devices.LIMITED` can go
    assert lacking({"_ctc_loss.default", "_ctc_loss.Tensor"}) == {
        "_ctc_loss.default",
        "_ctc_loss.Tensor",
    }


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "LIMITED", {"cuda"})


def ctc(log_probs: Tensor, labels: Tensor, frames: Tensor, lengths: Tensor, **_: Any) -> Tensor:
    """In place of CTC, which has no fake kernel: it is on the processor."""
    assert log_probs.device == labels.device == frames.device == lengths.device == CPU
    assert log_probs.dtype == torch.float32
    return -log_probs.sum() * labels.shape[1]


def backward(engine: Engine, loss: Tensor, network: Any) -> None:
    assert loss.requires_grad
    for parameter in network.module.parameters():
        parameter.grad = torch.ones_like(parameter)


@pytest.mark.usefixtures("limited")
@pytest.mark.filterwarnings("ignore:.*data_ptr")
@pytest.mark.parametrize("change", ["transforms=robust", "loss_function=consistent_ctc", "demo"])
def test_the_network_alone_runs_there(
    change: str, gpu: FakeTensorMode, lacking: Any, tmp_path: Path
) -> None:
    if change == "transforms=robust":
        soundfile.write(tmp_path / "1-1-A-10.wav", 0.1 * np.ones(16000, np.float32), 16000)
    more = ["model=tiny", f"+noise_dir={tmp_path}"] if change == "transforms=robust" else []
    cfg = config(change) if "=" not in change else config("demo", change, *more)
    pipeline, _ = parts(cfg)
    given = [as_batch(noise(1, 3))]
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with gpu:
            pipeline.network._apply(lambda tensor: gpu.from_tensor(tensor).to(CUDA))
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
    heard = pipeline.front_end.forward

    def really(*given: Any) -> Padded:
        with unset_fake_temporarily():  # it is on the processor, and looks at its values
            return heard(*given)

    engine = Engine("cpu", "32", threads=1)
    strategy: Any = engine._fabric.strategy
    strategy._root_device = CUDA
    with (
        gpu,
        mock.patch("torch.nn.functional.ctc_loss", ctc),
        mock.patch.object(Engine, "backward", backward),
        mock.patch.object(Engine, "step"),
        mock.patch.object(pipeline.front_end, "forward", really),
        Watch(CUDA) as watch,
    ):
        optimizer = torch.optim.AdamW(pipeline.network.parameters(), lr=1e-3)
        learner = Learner(engine, pipeline, optimizer, None, max_grad_norm=1.0, seed=1, ema=0.99)
        assert pipeline.device == CPU
        pipeline.train()
        result = learner.step(given, 0, n_labels=5.0, look=True)
        assert result.total.device == result.norm.device == result.finite.device == CUDA
        pipeline.eval()
        with torch.no_grad():
            log_probs = pipeline.emissions(given[0].waveforms.to(pipeline.device))
        assert log_probs.data.device == log_probs.lengths.device == CPU
    assert "convolution.default" in watch.operators
    assert not any(each.startswith("_fft") for each in watch.operators)
    assert not lacking(watch.operators)


def test_a_stream_takes_its_features_to_the_network() -> None:
    pipeline, _ = parts(config("deepspeech2_streaming", "model.rnn_layers=1"))
    pipeline.front_end.fit([as_batch(noise(1)).waveforms])
    network = StreamingNetwork(pipeline.network.to("meta"))
    stream = _Stream(StreamingFrontEnd(pipeline.front_end), network)
    _, log_probs = stream.step(stream.start(), torch.zeros(16000))
    assert (log_probs.device.type, log_probs.ndim) == ("meta", 2)


def test_statistics_are_as_good_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for limited in (set(), {"cpu"}):
        monkeypatch.setattr(devices, "LIMITED", limited)
        learner = make_learner()
        losses = [learner.step([as_batch(noise(number))], number).total for number in range(3)]
        results.append([*losses, *learner.pipeline.network.state_dict().values()])
    for wide, narrow in zip(*results, strict=True):
        torch.testing.assert_close(narrow, wide, rtol=2e-4, atol=2e-5)
