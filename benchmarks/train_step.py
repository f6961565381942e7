"""Seconds of audio per second in training, against the same network from torch's own parts.

Ours is the step of the product: copies, augmentation, features, masks, clipping, schedule. The
plain one is forward, CTC, backward and AdamW (see plain_deepspeech2.py). It is measured with
features that cost it nothing, which the ratio refers to, and with its own.

python -m benchmarks.train_step [--model small] [--device cpu] [--seconds 80] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from benchmarks.learners import make_learner, noise_batch
from benchmarks.plain_deepspeech2 import Plain, parameters_in
from benchmarks.report import report
from deepspeech2.model import recurrent
from deepspeech2.seeding import generator
from deepspeech2.trainer import Learner
from deepspeech2.types import Batch

# Seconds of the longest utterance: where LibriSpeech's hours are, a batch each.
LONGEST = (16.0, 15.0, 14.0, 12.0, 8.0)
NO_AUGMENTATION = ("transforms.waveform_transforms=[]", "transforms.feature_transforms=[]")
OURS, THEIRS = "ours", "plain, features given"


class Ours:
    """The product's training step on batches, one after the other.

    Args:
        pinned: batches lie in memory that a GPU copies from by itself; on a CPU without meaning.
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


class OursWithTorchGru(Ours):
    """The same with ``nn.GRU`` and a gather for the backward direction, as on a GPU."""

    def __call__(self) -> None:
        suits = recurrent.suits
        recurrent.suits = lambda cells, data: False
        try:
            super().__call__()
        finally:
            recurrent.suits = suits


def interleaved(
    contenders: Mapping[str, Callable[[], None]],
    audio: float,
    repeats: int,
    device: torch.device,
) -> dict[str, list[float]]:
    """Seconds of audio per second of each, in turns: a busy machine is busy for all of them.

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
            if repeat >= 0:
                speeds[name].append(round(audio / (time.perf_counter() - started), 2))
    return speeds


def padding(learner: Learner, batches: Sequence[Batch]) -> dict[str, float]:
    """Share of padding before and after augmentation, and how much wider that makes batches."""
    front_end, device = learner.pipeline.front_end, learner.engine.device
    plain = [batch.waveforms.to(device) for batch in batches]
    augmented = [
        front_end.augment(waveforms, generator(device, index, "padding"))
        for index, waveforms in enumerate(plain)
    ]
    before, after = (sum(each.data.numel() for each in found) for found in (plain, augmented))
    valid, valid_after = (
        sum(int(each.lengths.sum()) for each in found) for found in (plain, augmented)
    )
    return {
        "padding": round(1 - valid / before, 4),
        "augmented_padding": round(1 - valid_after / after, 4),
        "augmented_samples": round(after / before, 4),
    }


def rows(speeds: Mapping[str, Sequence[float]]) -> str:
    """A table: the median, the range, and the median over that of the plain one."""
    theirs = statistics.median(speeds[THEIRS])
    lines = ["| step | seconds of audio per second | range | ratio |", "| --- | --- | --- | --- |"]
    for name, found in speeds.items():
        middle = statistics.median(found)
        spread = f"{min(found):.1f} to {max(found):.1f}"
        lines.append(f"| {name} | {middle:.1f} | {spread} | {middle / theirs:.2f} |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """The command line; what is not said depends on whether there is a GPU."""
    parser = argparse.ArgumentParser(description="Our training step against a plain one.")
    parser.add_argument("--model", help="of configs/model")
    parser.add_argument("--transforms", default="default", help="of configs/transforms")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="auto, 32 or bf16")
    parser.add_argument("--seconds", type=float, help="of audio in a batch")
    parser.add_argument("--threads", type=int, help="of the CPU; all if not given")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--variants", action=argparse.BooleanOptionalAction, default=None)
    chosen = parser.parse_args()
    gpu = torch.cuda.is_available() and chosen.device != "cpu"
    chosen.model = chosen.model or ("deepspeech2" if gpu else "small")
    chosen.seconds = chosen.seconds or (640.0 if gpu else 80.0)
    chosen.variants = gpu if chosen.variants is None else chosen.variants
    return chosen


def more_about(product: Learner, batches: Sequence[Batch]) -> dict[str, Any]:
    """Padding, and on a GPU where its time goes and the most memory."""
    details: dict[str, Any] = padding(product, batches)
    if product.engine.device.type == "cuda":
        from benchmarks import step_variants

        details |= step_variants.kernel_share(Ours(product, batches))
        details["peak_memory_gib"] = round(product.engine.peak_memory(), 2)
    return details


def main() -> None:
    """Measure and print."""
    chosen = arguments()
    batches = [noise_batch(chosen.seconds, seed=i, longest=d) for i, d in enumerate(LONGEST)]
    audio = sum(batch.duration for batch in batches)

    def learner(*more: str) -> Learner:
        return make_learner(
            f"model={chosen.model}",
            f"transforms={chosen.transforms}",
            *more,
            device=chosen.device,
            precision=chosen.precision,
            threads=chosen.threads,
            steps=10**6,
        )

    product = learner()
    engine, pipeline = product.engine, product.pipeline
    plain = [
        Plain(pipeline.network, pipeline.front_end, engine, batches, given=given)
        for given in (True, False)
    ]
    contenders: dict[str, Callable[[], None]] = {
        OURS: Ours(product, batches),
        THEIRS: plain[0],
        "plain with its features": plain[1],
        "ours without augmentation": Ours(learner(*NO_AUGMENTATION), batches),
    }
    if engine.device.type == "cpu":
        contenders["ours with nn.GRU"] = OursWithTorchGru(learner(), batches)
    speeds = interleaved(contenders, audio, chosen.repeats, engine.device)
    print(rows(speeds))
    details = more_about(product, batches)
    if chosen.variants:
        from benchmarks import step_variants

        details["variants"] = step_variants.table(learner, batches, audio, chosen.repeats)
    middle = {name: round(statistics.median(found), 2) for name, found in speeds.items()}
    print(
        report(
            "train_step",
            ours=middle[OURS],
            theirs=middle[THEIRS],
            unit="seconds of audio per second",
            packages=("torch", "lightning-fabric"),
            against="nn.Conv2d, nn.BatchNorm, packed nn.GRU, ctc_loss, AdamW; features given",
            others={name: middle[name] for name in list(middle)[2:]},
            model=chosen.model,
            parameters=parameters_in(pipeline.network),
            transforms=chosen.transforms,
            device=str(engine.device),
            precision=engine.precision,
            batch_seconds=round(audio / len(batches), 1),
            steps=len(batches) * chosen.repeats,
            **details,
            all_runs=speeds,
        )
    )


if __name__ == "__main__":
    main()
