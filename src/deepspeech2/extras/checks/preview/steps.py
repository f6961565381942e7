"""What each augmentation of a front end does, by itself and together with the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from deepspeech2.seeding import generator
from deepspeech2.transforms import Compose, FrontEnd, OneOf, RandomApply
from deepspeech2.types import Padded

_TRIES = 24  # draws among which those are looked for that change something

Draw = Callable[[Padded, torch.Generator], Padded]


@dataclass(frozen=True, slots=True)
class Step:
    """One augmentation.

    Attributes:
        name: its class.
        options: its arguments, as the config has them.
        share: of the utterances that meet it, from 0 to 1.
        draw: maps waveforms (B, S) or features (B, T, F) to such.
        on_features: which of the two.
    """

    name: str
    options: str
    share: float
    draw: Draw
    on_features: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """An utterance before or after augmentation.

    Attributes:
        waveform: (S,) float32; None where only features change.
        features: (T, F) as the network reads them.
    """

    waveform: Tensor | None
    features: Tensor


def steps(front_end: FrontEnd, node: Mapping[str, Any]) -> list[Step]:
    """The augmentations of a front end, those that are wrapped in others one by one.

    Args:
        node: what the front end was built from, with plain values.
    """
    found: list[Step] = []
    for key, transforms in (
        ("waveform_transforms", front_end.waveform_transforms),
        ("feature_transforms", front_end.feature_transforms),
    ):
        for part, transform in zip(node.get(key) or (), transforms, strict=True):
            found += _unwrapped(part, transform, 1.0, on_features=key.startswith("feature"))
    return found


def _unwrapped(
    node: Mapping[str, Any], transform: Any, share: float, *, on_features: bool
) -> Iterator[Step]:
    if isinstance(transform, RandomApply):
        inner = [(node["transform"], transform.transform, transform.p)]
    elif isinstance(transform, OneOf):
        shares = [high - low for low, high in pairwise((0.0, *transform.bounds))]
        inner = list(zip(node["transforms"], transform.transforms, shares, strict=True))
    elif isinstance(transform, Compose):
        inner = [
            (*pair, 1.0) for pair in zip(node["transforms"], transform.transforms, strict=True)
        ]
    else:
        told = {key: value for key, value in node.items() if key not in ("_target_", "p")}
        options = ", ".join(f"{key}={value}" for key, value in told.items())
        share *= getattr(transform, "p", 1.0)
        yield Step(type(transform).__name__, options, share, transform, on_features)
        return
    for part, each, p in inner:
        yield from _unwrapped(part, each, share * p, on_features=on_features)


def as_recorded(front_end: FrontEnd, waveform: Tensor) -> Version:
    """A waveform (S,) without augmentation."""
    return Version(waveform, _features(front_end(Padded.stack([waveform]))))


def versions(
    front_end: FrontEnd, step: Step, waveform: Tensor, number: int, seed: int
) -> list[Version]:
    """Up to ``number`` draws of one augmentation that change the waveform (S,), no two alike.

    Where none of a few dozen draws changes anything there are none.
    """
    before = as_recorded(front_end, waveform)
    found: list[Version] = []
    for trial in range(_TRIES):
        random = generator("cpu", seed, step.name, step.options, trial)
        made = _drawn(front_end, step, before, random)
        if all(_differ(made, other) for other in (before, *found)):
            found.append(made)
        if len(found) == number:
            break
    return found


def together(front_end: FrontEnd, waveform: Tensor, number: int, seed: int) -> list[Version]:
    """``number`` draws of all augmentations, as training makes them: some may change nothing."""
    found = []
    inputs = Padded.stack([waveform])
    for trial in range(number):
        heard = front_end.augment(inputs, generator("cpu", seed, "together", trial))
        features = front_end(inputs, generator("cpu", seed, "together", trial))
        found.append(Version(heard.unpad()[0], _features(features)))
    return found


def _drawn(front_end: FrontEnd, step: Step, before: Version, random: torch.Generator) -> Version:
    with torch.no_grad():
        if step.on_features:
            changed = step.draw(Padded.stack([before.features]), random)
            return Version(None, _features(changed))
        assert before.waveform is not None
        heard = step.draw(Padded.stack([before.waveform]), random)
        return Version(heard.unpad()[0], _features(front_end(heard)))


def _features(features: Padded) -> Tensor:
    return features.unpad()[0]


def _differ(one: Version, other: Version) -> bool:
    if one.waveform is not None and other.waveform is not None:
        return not torch.equal(one.waveform, other.waveform)
    return not torch.equal(one.features, other.features)


def choose(durations: Sequence[float], longest: float = 10.0, shortest: float = 2.0) -> list[int]:
    """Utterances that are neither tedious nor over at once; the shortest if there are none."""
    fitting = [i for i, seconds in enumerate(durations) if shortest <= seconds <= longest]
    return fitting or sorted(range(len(durations)), key=lambda index: durations[index])
