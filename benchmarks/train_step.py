"""Seconds of audio per second in training, against the same network from torch's own parts.

Ours is the step of the product: copies, augmentation, features, masks, clipping, schedule. The
plain one is forward, CTC, backward and AdamW (see plain_deepspeech2.py). It is measured with
features that cost it nothing, which the ratio refers to, and with its own.

python -m benchmarks.train_step [--model small] [--device cpu] [--seconds 80] [--compile]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from benchmarks import step_variants
from benchmarks.learners import Ours, interleaved, make_learner, noise_batch
from benchmarks.plain_deepspeech2 import Plain, parameters_in
from benchmarks.report import report
from deepspeech2.devices import compile_network, cpu_has_bf16
from deepspeech2.model import gru_cpu
from deepspeech2.seeding import generator
from deepspeech2.tables import markdown_table
from deepspeech2.trainer import Learner
from deepspeech2.types import Batch

# Seconds of the longest utterance: where LibriSpeech's hours are, a batch each.
LONGEST = (16.0, 15.0, 14.0, 12.0, 8.0)
NO_AUGMENTATION = ("transforms.waveform_transforms=[]", "transforms.feature_transforms=[]")
OURS, THEIRS, BF16 = "ours", "plain, features given", "ours in bf16"
COMPILED, BOTH = "ours, trainer.compile", "ours in bf16, trainer.compile"


class OursWithTorchGru(Ours):
    """The same with ``nn.GRU`` and a gather for the backward direction, as on a GPU."""

    def __call__(self) -> None:
        supports = gru_cpu.supports
        gru_cpu.supports = lambda cells, data: False
        try:
            super().__call__()
        finally:
            gru_cpu.supports = supports


def padding(learner: Learner, batches: Sequence[Batch]) -> dict[str, float]:
    """Share of padding before and after augmentation, and how much wider that makes batches."""
    front_end, device = learner.pipeline.front_end, learner.pipeline.device
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
    lines = []
    for name, found in speeds.items():
        middle = statistics.median(found)
        spread = f"{min(found):.1f} to {max(found):.1f}"
        lines.append((name, f"{middle:.1f}", spread, f"{middle / theirs:.2f}"))
    return markdown_table(("step", "seconds of audio per second", "range", "ratio"), lines)


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
    parser.add_argument("--compile", action="store_true", help="also trainer.compile, in minutes")
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
        details |= step_variants.kernel_share(Ours(product, batches))
        details["peak_memory_gib"] = round(product.engine.peak_memory(), 2)
    return details


def opponents(
    product: Learner,
    learner: Callable[..., Learner],
    batches: Sequence[Batch],
    *,
    compiled: bool,
) -> dict[str, Callable[[], None]]:
    """What is measured beside each other, the product's own step first."""
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
        if engine.precision == "32-true" and cpu_has_bf16():
            contenders[BF16] = Ours(learner(precision="bf16"), batches)
    if compiled:
        for name, other in ((OURS, COMPILED), (BF16, BOTH)):
            if name in contenders:
                made = learner(precision="bf16") if name == BF16 else learner()
                compile_network(made.pipeline.network, engine.device)
                contenders[other] = Ours(made, batches)
    return contenders


def main() -> None:
    """Measure and print."""
    chosen = arguments()
    batches = [noise_batch(chosen.seconds, seed=i, longest=d) for i, d in enumerate(LONGEST)]
    audio = sum(batch.duration for batch in batches)

    def learner(*more: str, precision: str = chosen.precision) -> Learner:
        return make_learner(
            f"model={chosen.model}",
            f"transforms={chosen.transforms}",
            *more,
            device=chosen.device,
            precision=precision,
            threads=chosen.threads,
            steps=10**6,
        )

    product = learner()
    engine, pipeline = product.engine, product.pipeline
    contenders = opponents(product, learner, batches, compiled=chosen.compile)
    speeds = interleaved(contenders, audio, chosen.repeats, engine.device)
    print(rows(speeds))
    details = more_about(product, batches)
    if chosen.variants:
        details["variants"] = step_variants.table(learner, batches, audio, chosen.repeats)
    middle = {name: round(statistics.median(found), 2) for name, found in speeds.items()}
    for key, name in (("bf16", BF16), ("compile", COMPILED), ("both", BOTH)):
        if name in middle:
            details[f"{key}_ratio"] = round(middle[name] / middle[OURS], 3)
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
