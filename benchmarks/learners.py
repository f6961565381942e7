"""What benchmarks of training share: a learner as the configs make it, noise, and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from deepspeech2.config.command_line import VERSION
from deepspeech2.config.components import create, group
from deepspeech2.engine import Engine
from deepspeech2.pipeline import Pipeline
from deepspeech2.seeding import generator
from deepspeech2.text import TextEncoder
from deepspeech2.trainer import Learner
from deepspeech2.types import Batch, Padded, Utterance

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
RATE = 16000
CHARACTERS_PER_SECOND = 14  # of LibriSpeech's read speech, nearly


def make_learner(
    *overrides: str,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    steps: int = 1000,
) -> Learner:
    """The learner of the config ``deepspeech2`` with ``overrides``, augmentation included."""
    with initialize_config_dir(str(CONFIGS), **VERSION):
        config = compose("deepspeech2", overrides=list(overrides))
    engine = Engine(device, precision, threads)
    torch.manual_seed(0)
    front_end = create(group(config, "transforms"), "transforms")
    n_tokens = TextEncoder().n_tokens
    network = create(
        group(config, "model"), "model", n_features=front_end.n_features, n_tokens=n_tokens
    )
    parameters = list(network.parameters())
    fused = {"fused": True} if engine.fuses else {}
    optimizer = create(group(config, "optimizer"), "optimizer", parameters, **fused)
    schedule = create(group(config, "lr_scheduler"), "lr_scheduler", optimizer, total_steps=steps)
    pipeline = Pipeline(front_end, network).train()
    return Learner(engine, pipeline, optimizer, schedule, max_grad_norm=10.0, seed=1)


def noise_batch(seconds: float, *, seed: int, longest: float = 14.0) -> Batch:
    """Noise of ``seconds`` in all, in utterances up to 2 % shorter than ``longest`` seconds."""
    draw = generator("cpu", seed, "noise")
    number = max(1, round(seconds / longest))
    durations = longest * (1 - 0.02 * torch.rand(number, generator=draw))
    waveforms = [0.1 * torch.randn(int(d * RATE), generator=draw) for d in durations.tolist()]
    n_tokens = TextEncoder().n_tokens
    lengths = [int(d * CHARACTERS_PER_SECOND) for d in durations.tolist()]
    labels = [torch.randint(1, n_tokens, (length,), generator=draw) for length in lengths]
    utterances = tuple(
        Utterance(f"noise-{seed}-{index}", Path("noise"), len(waveform) / RATE)
        for index, waveform in enumerate(waveforms)
    )
    return Batch(Padded.stack(waveforms), Padded.stack(labels), utterances)


class Ours:
    """The product's training step on batches, one after the other.

    Args:
        pinned: put batches in page-locked memory, from which a GPU copies by itself.
    """

    def __init__(self, learner: Learner, batches: Sequence[Batch], *, pinned: bool = True) -> None:
        cuda = learner.engine.device.type == "cuda"
        self.learner = learner
        self.batches = [batch.pin_memory() if cuda and pinned else batch for batch in batches]
        self._number = 0

    def __call__(self) -> None:
        """A step on each batch."""
        for batch in self.batches:
            self.learner.step([batch], self._number)
            self._number += 1


def interleaved(
    contenders: Mapping[str, Callable[[], None]],
    audio: float,
    repeats: int,
    device: torch.device,
) -> dict[str, list[float]]:
    """Measure seconds of audio per second of each, in turns: all meet the same load.

    Args:
        audio: seconds that one call learns from.
    """
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(-1, repeats):  # the first warms up
        for name, contender in contenders.items():
            started = time.perf_counter()
            contender()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            elif device.type == "mps":
                torch.mps.synchronize()
            if repeat >= 0:
                speeds[name].append(round(audio / (time.perf_counter() - started), 2))
    return speeds
