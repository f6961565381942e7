"""A learner of a few thousand parameters, and batches of noise for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from deepspeech2.audio.phones import PhoneTargets
from deepspeech2.devices import cpu_has_bf16
from deepspeech2.engine import Engine
from deepspeech2.loss import CtcLoss
from deepspeech2.model import DeepSpeech2
from deepspeech2.pipeline import Pipeline
from deepspeech2.trainer import Learner, freeze
from deepspeech2.transforms import FrontEnd, LogMelSpectrogram, UtteranceNormalization
from deepspeech2.types import Batch, Padded, Utterance

N_TOKENS = 12
Items = list[tuple[torch.Tensor, torch.Tensor]]


def make_learner(
    optimizer: type[torch.optim.Optimizer] = torch.optim.AdamW,
    *,
    steps: int = 20,
    ema: float | None = None,
    dropout: float = 0.0,
    device: str = "cpu",
    precision: str = "auto",
    frozen: Sequence[str] = (),
    network_options: Mapping[str, Any] | None = None,
    loss: CtcLoss | None = None,
    phones: PhoneTargets | None = None,
    **options: object,
) -> Learner:
    if (device, precision) == ("cpu", "bf16") and not cpu_has_bf16():
        pytest.skip("needs a processor with bfloat16")
    torch.manual_seed(0)
    network = DeepSpeech2(
        32,
        N_TOKENS,
        conv_channels=(4, 8),
        conv_kernels=((11, 11), (11, 11)),
        conv_strides=((2, 2), (2, 1)),
        rnn_layers=2,
        rnn_size=24,
        dropout=dropout,
        **(network_options or {}),
    )
    if frozen:
        freeze(network, frozen)
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    made = optimizer(learnt, lr=1e-3, **options)  # type: ignore[call-arg]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        made, 3e-3, total_steps=steps, cycle_momentum=False
    )
    front_end = FrontEnd(LogMelSpectrogram(n_mels=32), UtteranceNormalization())
    engine = Engine(device, precision, threads=1)
    pipeline = Pipeline(front_end, network, loss).train()
    return Learner(
        engine, pipeline, made, schedule, max_grad_norm=1.0, seed=1, ema=ema, phones=phones
    )


def noise(seed: int, number: int = 5) -> Items:
    """(waveform, labels) pairs of lengths that differ by up to a factor of three."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(8000, 24000, (number,), generator=draw).tolist()
    return [
        (
            0.1 * torch.randn(length, generator=draw),
            torch.randint(1, N_TOKENS, (length // 1600,), generator=draw),
        )
        for length in lengths
    ]


def as_batch(items: Items) -> Batch:
    if not items:
        nothing = torch.zeros(0, dtype=torch.int64)
        return Batch(Padded(torch.zeros(0, 0), nothing), Padded(nothing[:, None], nothing), ())
    return Batch(
        Padded.stack([waveform for waveform, _ in items]),
        Padded.stack([labels for _, labels in items]),
        tuple(
            Utterance(f"noise-{index}", Path("none"), len(waveform) / 16000)
            for index, (waveform, _) in enumerate(items)
        ),
    )
