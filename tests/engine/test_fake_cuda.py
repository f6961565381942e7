"""A training step of every config on a GPU that is not there.

Fake tensors have a device and a shape and no values. An operation on tensors of two devices
raises, and so does everything that needs a value, for which the processor would wait for the GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from deepspeech2.audio.phones import PhoneTargets
from deepspeech2.config.components import create, group
from deepspeech2.decoding.beam.gpu import prefix_beam_search
from deepspeech2.decoding.greedy import GreedyDecoder
from deepspeech2.engine import Engine
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import TextEncoder
from deepspeech2.trainer import Learner
from deepspeech2.trainer.alarms import Alarms
from deepspeech2.trainer.learner import count_labels
from deepspeech2.trainer.reporter import NonfiniteGuard, Reporter
from deepspeech2.transforms import GlobalNormalization
from deepspeech2.writer import NullWriter
from tests.toy import ROOT, config
from tests.trainer.small import as_batch, noise

CUDA = torch.device("cuda", 0)
CONFIGS = ROOT / "configs"
COMMANDS = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "settings")
TRAININGS = [name for name in COMMANDS if "trainer" in config(name)]
OPTIONS = sorted(
    f"{name}={path.stem}"
    for name in ("model", "transforms", "loss_function", "optimizer")
    for path in (CONFIGS / name).glob("*.yaml")
)

TARGETS = (
    "model=small model.intermediate=[1] model.self_conditioned=true model.phones_after=2"
    " loss_function.intermediate_weight=0.3 loss_function.phones_weight=0.2"
)


class Event:
    """Of a GPU's stream: here everything has happened already."""

    def record(self) -> None: ...

    def synchronize(self) -> None: ...


def recurrence(layer: nn.RNNBase, data: Tensor, state: Tensor | None = None) -> tuple[Tensor, None]:
    """In place of a recurrent layer, which has no fake kernel; asks what cuDNN asks for."""
    assert data.device == layer.weight_ih_l0.device == CUDA
    weight = layer.weight_ih_l0[: layer.hidden_size].to(data.dtype)
    return data @ weight.t() + layer.weight_hh_l0.sum().to(data.dtype), None


def ctc(log_probs: Tensor, labels: Tensor, frames: Tensor, lengths: Tensor, **_: Any) -> Tensor:
    """In place of CTC, which has no fake kernel; asks what the real one asks for."""
    assert log_probs.device == labels.device == CUDA
    assert frames.device == lengths.device == torch.device("cpu")
    assert log_probs.dtype == torch.float32
    assert labels.dtype == frames.dtype == lengths.dtype == torch.int64
    return -log_probs.sum() * labels.shape[1]


def backward(engine: Engine, loss: Tensor, network: Any) -> None:
    """In place of autograd, which asks a real GPU for its streams."""
    assert loss.device == CUDA
    assert loss.requires_grad
    for parameter in network.module.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)


@pytest.fixture
def gpu() -> Iterator[FakeTensorMode]:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with (
        mock.patch("torch.cuda.Event", Event),
        mock.patch("torch.cuda.amp.common.amp_definitely_not_available", return_value=False),
        mock.patch("torch.cuda.is_bf16_supported", return_value=True),
        mock.patch("torch.nn.functional.ctc_loss", ctc),
        mock.patch.object(nn.RNNBase, "forward", recurrence),
        mock.patch.object(nn.GRU, "forward", recurrence),
        mock.patch.object(nn.LSTM, "forward", recurrence),
        mock.patch.object(nn.RNN, "forward", recurrence),
        mock.patch.object(Engine, "backward", backward),
        mock.patch.object(nn.Module, "to", lambda module, *_, **__: module),  # it is there
        mock.patch("deepspeech2.trainer.learner.generator", return_value=torch.Generator()),
        mock.patch("lightning_fabric.accelerators.cpu.CPUAccelerator.setup_device"),
    ):
        yield mode


def parts(cfg: DictConfig) -> tuple[Pipeline, TextEncoder]:
    encoder: TextEncoder = create(group(cfg, "text_encoder"), "text_encoder")
    front_end = create(group(cfg, "transforms"), "transforms")
    network = create(
        group(cfg, "model"), "model", n_features=front_end.n_features, n_tokens=encoder.n_tokens
    )
    loss = create(group(cfg, "loss_function"), "loss_function")
    return Pipeline(front_end, network, loss), encoder


def on_gpu(mode: FakeTensorMode, pipeline: Pipeline) -> None:
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with mode:
            pipeline._apply(lambda tensor: mode.from_tensor(tensor).to(CUDA))
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def bf16_engine() -> Engine:
    with mock.patch("deepspeech2.devices.cpu_has_bf16", return_value=True):
        engine = Engine("cpu", "bf16", threads=1)
    strategy: Any = engine._fabric.strategy
    strategy._root_device = CUDA
    strategy.precision.device = "cuda"
    assert engine.device == CUDA
    return engine


@pytest.mark.filterwarnings("ignore:.*data_ptr")
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (lambda log_probs: float(log_probs.data.sum()), DataDependentOutputException),
        (lambda log_probs: log_probs.data + torch.ones(log_probs.data.shape[2]), RuntimeError),
    ],
)
def test_waiting_and_a_second_device_are_noticed(
    fault: Any, error: type[Exception], gpu: FakeTensorMode
) -> None:
    pipeline, _ = parts(config("demo"))
    given = [as_batch(noise(1, 2))]
    on_gpu(gpu, pipeline)
    with gpu, mock.patch("deepspeech2.trainer.learner._blank_share", fault):
        optimizer = torch.optim.AdamW(pipeline.parameters(), fused=True)
        learner = Learner(bf16_engine(), pipeline, optimizer, None, max_grad_norm=1.0, seed=1)
        with pytest.raises(error):
            learner.step(given, 0, n_labels=1.0, look=True)


@pytest.mark.filterwarnings("ignore:.*data_ptr")
@pytest.mark.parametrize("change", [*TRAININGS, *OPTIONS, TARGETS])
def test_a_step_stays_on_the_gpu_and_waits_for_nothing(
    change: str, gpu: FakeTensorMode, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "1-1-A-10.wav", 0.1 * np.ones(16000, np.float32), 16000)
    more = [f"+noise_dir={tmp_path}"] if change in ("transforms=noisy", "transforms=robust") else []
    if "=" in change and not change.startswith("model"):
        more.append("model=tiny")
    cfg = config("deepspeech2", *change.split(), *more) if "=" in change else config(change)
    pipeline, encoder = parts(cfg)
    given = [as_batch(noise(1, 3)), as_batch(noise(2, 2))]
    phones = None
    if change == TARGETS:
        phones = PhoneTargets(["noise"], "en-us")
        pipeline.network.add_phones(phones.phones)
    n_labels = count_labels(given)
    if isinstance(pipeline.front_end.normalization, GlobalNormalization):
        pipeline.front_end.fit([batch.waveforms for batch in given])
    on_gpu(gpu, pipeline)
    with gpu:
        engine = bf16_engine()
        optimizer = create(
            group(cfg, "optimizer"),
            "optimizer",
            [p for p in pipeline.parameters() if p.requires_grad],
        )
        if optimizer.defaults.get("fused", ...) is None:  # as training chooses it on a GPU
            optimizer = torch.optim.AdamW(pipeline.parameters(), lr=1e-3, fused=True)
        options: dict[str, Any] = {"max_grad_norm": 1.0, "seed": 1, "ema": 0.99}
        learner = Learner(engine, pipeline, optimizer, None, phones=phones, **options)
        alarms = Alarms(num_workers=1, cached=False)
        reporter, guard = Reporter(learner, alarms, NullWriter()), NonfiniteGuard(2)
        pipeline.train()
        fused = optimizer.defaults.get("fused")
        with nullcontext() if fused else mock.patch.object(Engine, "step"):  # which would wait
            result = learner.step(given, 0, n_labels=n_labels, look=True)
        optimizer.step()
        assert result.total.device == result.norm.device == result.finite.device == CUDA
        reporter.add(result, given)
        guard.note(1, result.finite, given)
        with pytest.raises(DataDependentOutputException):  # here at last it does wait
            guard.settle(None)  # type: ignore[arg-type]
        pipeline.eval()
        with torch.no_grad():
            log_probs = pipeline.emissions(given[0].waveforms.to(CUDA))
        assert log_probs.data.device == CUDA
        assert GreedyDecoder(encoder)._best_path(log_probs).device == CUDA
        frames = log_probs.data[:, :6].transpose(0, 1)
        scores, labels = prefix_beam_search(frames, beam_size=4, beam_threshold=None)
        assert scores.device == labels.device == CUDA
