"""Trains twenty steps as one of so many ranks and writes what came of it; run by a test.

python -m tests.engine.rank_script FILE ACCUMULATE [taps]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from deepspeech2.audio.phones import PhoneTargets
from deepspeech2.loss import CtcLoss
from tests.trainer.small import Items, as_batch, make_learner, noise

STEPS = 20
EMPTY_AT = 7


def share(items: Items, rank: int, ranks: int, step: int) -> Items:
    """Four of five utterances for the first rank and one for the second, once even none."""
    cut = len(items) if step == EMPTY_AT else len(items) - 1
    if ranks == 1:
        return items
    return items[:cut] if rank == 0 else items[cut:]


def main(file: Path, accumulate: int, taps: bool) -> None:
    options: dict[str, Any] = {}
    if taps:
        phones = PhoneTargets(["noise"], "en-us")
        network = {"phones_after": 1, "phones": phones.phones}
        options["phones"] = phones
        options["network_options"] = {"intermediate": [1], "self_conditioned": True, **network}
        options["loss"] = CtcLoss(intermediate_weight=0.3, phones_weight=0.2)
    learner = make_learner(steps=STEPS, fused=True, **options)
    engine = learner.engine
    losses, gradient = [], []
    for step in range(STEPS):
        micro_batches = [noise(100 * step + number) for number in range(accumulate)]
        own = [share(items, engine.rank, engine.world_size, step) for items in micro_batches]
        result = learner.step([as_batch(items) for items in own], step)
        losses.append(float(result.total) / result.count)
        if not step:
            for weight in learner.pipeline.parameters():
                assert weight.grad is not None
                gradient.extend(weight.grad.flatten().tolist())
    statistics = {name: value.tolist() for name, value in learner.pipeline.named_buffers()}
    ranks = engine.world_size
    engine.close()
    assert not torch.distributed.is_initialized()
    if engine.is_main:
        found = {"ranks": ranks, "losses": losses, "gradient": gradient, "statistics": statistics}
        file.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["taps"])
