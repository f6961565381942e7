"""A few utterances through each augmentation and through all, as audio and pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import soundfile
import torch
from torch import Tensor
from tqdm import tqdm

from deepspeech2.datasets.dataset import SpeechDataset
from deepspeech2.extras.checks.audio_check import spread
from deepspeech2.seeding import generator
from deepspeech2.transforms import Compose, FrontEnd, OneOf, RandomApply
from deepspeech2.types import Padded, Sample, Utterance
from deepspeech2.writer.histograms import neutral_png
from deepspeech2.writer.plots import spectrograms

AS_RECORDED = "as recorded"
_SHORTEST, _LONGEST = 2.0, 10.0  # seconds of an utterance that one likes to listen to
_SPARE = 4  # times as many as are asked for are tried, because some may be broken
_TRIES = 24  # draws of an augmentation, to find those that change something

Draw = Callable[[Padded, torch.Generator], Padded]


@dataclass(frozen=True, slots=True)
class Step:
    """One augmentation.

    Attributes:
        name: its class.
        options: its arguments, as the config has them.
        share: of the utterances that are augmented, from 0 to 1.
        draw: maps waveforms (B, S) or features (B, T, F) to the same.
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


@dataclass(frozen=True, slots=True)
class Clip:
    """One version that can be played: FLAC, or None where only features change."""

    label: str
    audio: bytes | None
    note: str


@dataclass(frozen=True, slots=True)
class Panel:
    """What one augmentation makes of one utterance.

    Attributes:
        title, detail: which, and with which arguments and how often.
        clips: the utterance as recorded, and draws.
        picture: their spectrograms, PNG.
        unchanged: whether no draw changed anything.
    """

    title: str
    detail: str
    clips: Sequence[Clip]
    picture: bytes
    unchanged: bool


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance with a panel for each augmentation, and one for all together."""

    utterance: Utterance
    panels: Sequence[Panel]


def read_samples(utterances: Sequence[Utterance], sample_rate: int, number: int) -> list[Sample]:
    """Read up to ``number`` utterances that are neither tedious nor over at once.

    If all are, the shortest are read; broken ones are replaced by others.
    """
    fitting = [item for item in utterances if _SHORTEST <= item.duration <= _LONGEST]
    fitting = fitting or sorted(utterances, key=lambda item: item.duration)
    tried = spread(fitting, _SPARE * number)
    dataset = SpeechDataset(tried, lambda text: [], sample_rate=sample_rate)
    # at even distances first, then those between, should one be broken
    order = sorted(range(len(tried)), key=lambda index: (index % _SPARE, index))
    items = (dataset[index] for index in order)
    return list(islice((item for item in items if isinstance(item, Sample)), number))


def steps(front_end: FrontEnd, node: Mapping[str, Any]) -> list[Step]:
    """The augmentations of a front end, those that are wrapped in others one by one.

    Args:
        node: what the front end was built from, with plain values.
    """
    unwrapped: list[Step] = []
    for key, transforms in (
        ("waveform_transforms", front_end.waveform_transforms),
        ("feature_transforms", front_end.feature_transforms),
    ):
        for part, transform in zip(node.get(key) or (), transforms, strict=True):
            unwrapped += _unwrapped(part, transform, 1.0, on_features=key.startswith("feature"))
    return unwrapped


def _unwrapped(
    node: Mapping[str, Any], transform: Any, share: float, *, on_features: bool
) -> Iterator[Step]:
    if isinstance(transform, RandomApply):
        nodes, inner, shares = [node["transform"]], [transform.transform], [transform.p]
    elif isinstance(transform, OneOf):
        nodes, inner = node["transforms"], list(transform.transforms)
        shares = [high - low for low, high in pairwise((0.0, *transform.bounds))]
    elif isinstance(transform, Compose):
        nodes, inner = node["transforms"], list(transform.transforms)
        shares = [1.0] * len(inner)
    else:
        arguments = {key: value for key, value in node.items() if key not in ("_target_", "p")}
        options = ", ".join(f"{key}={value}" for key, value in arguments.items())
        share *= getattr(transform, "p", 1.0)
        yield Step(type(transform).__name__, options, share, transform, on_features)
        return
    for part, each, p in zip(nodes, inner, shares, strict=True):
        yield from _unwrapped(part, each, share * p, on_features=on_features)


def draw_examples(
    front_end: FrontEnd, steps: Sequence[Step], samples: Sequence[Sample], *, draws: int, seed: int
) -> list[Example]:
    """Send each sample through each step, and through all as training does."""
    total = len(samples) * (len(steps) + 1)
    bar = tqdm(total=total, desc="drawing", unit=" pictures", leave=False, delay=1, disable=None)
    examples = []
    with bar:
        for sample in samples:
            panels = []
            for step in (*steps, None):
                panels.append(_panel(front_end, step, sample.waveform, draws, seed))
                bar.update()
            examples.append(Example(sample.utterance, panels))
    return examples


def _panel(
    front_end: FrontEnd, step: Step | None, waveform: Tensor, draws: int, seed: int
) -> Panel:
    """One step, or all of them for None."""
    before = Version(waveform, front_end(Padded.stack([waveform])).unpad()[0])
    if step is None:
        versions = _together(front_end, waveform, draws + 1, seed)
        title, detail = "all together", "as training does, in this order"
    else:
        versions = _versions(front_end, step, before, draws, seed)
        share = f"{100 * step.share:.3g} % of the utterances"
        often = "every utterance" if step.share >= 1 else share
        title, detail = step.name, f"{step.options}; {often}" if step.options else often
    labelled = [(AS_RECORDED, before)]
    labelled += [(f"draw {number}", version) for number, version in enumerate(versions, start=1)]
    clips = [_clip(label, each, before, front_end.sample_rate) for label, each in labelled]
    rows = [(label, each.features.numpy()) for label, each in labelled]
    figure = spectrograms(rows, front_end.seconds_per_frame)
    figure.set_size_inches(9, 0.6 + 1.7 * len(rows))
    return Panel(title, detail, clips, neutral_png(figure, dpi=100), unchanged=not versions)


def _versions(
    front_end: FrontEnd, step: Step, before: Version, number: int, seed: int
) -> list[Version]:
    """Up to ``number`` draws of one augmentation that change ``before``, no two alike.

    Where none of a few dozen draws changes anything there are none.
    """
    versions: list[Version] = []
    for trial in range(_TRIES):
        random = generator("cpu", seed, step.name, step.options, trial)
        version = _drawn(front_end, step, before, random)
        if all(_differ(version, other) for other in (before, *versions)):
            versions.append(version)
        if len(versions) == number:
            break
    return versions


def _drawn(front_end: FrontEnd, step: Step, before: Version, random: torch.Generator) -> Version:
    with torch.no_grad():
        if step.on_features:
            return Version(None, step.draw(Padded.stack([before.features]), random).unpad()[0])
        assert before.waveform is not None
        waveforms = step.draw(Padded.stack([before.waveform]), random)
        return Version(waveforms.unpad()[0], front_end(waveforms).unpad()[0])


def _differ(one: Version, other: Version) -> bool:
    if one.waveform is not None and other.waveform is not None:
        return not torch.equal(one.waveform, other.waveform)
    return not torch.equal(one.features, other.features)


def _together(front_end: FrontEnd, waveform: Tensor, number: int, seed: int) -> list[Version]:
    """``number`` draws of all augmentations, as training makes them: some may change nothing."""
    versions = []
    inputs = Padded.stack([waveform])
    for trial in range(number):
        waveforms = front_end.augment(inputs, generator("cpu", seed, "together", trial))
        features = front_end(inputs, generator("cpu", seed, "together", trial))
        versions.append(Version(waveforms.unpad()[0], features.unpad()[0]))
    return versions


def _clip(label: str, version: Version, before: Version, sample_rate: int) -> Clip:
    """A version as 16-bit FLAC; what is beyond full scale is clipped, as a player would."""
    if version.waveform is None:
        share = float((version.features != before.features).float().mean())
        return Clip(label, None, f"{100 * share:.0f} % of the features masked")
    seconds = len(version.waveform) / sample_rate
    level = float(version.waveform.square().mean().clamp_min(1e-12).log10()) * 10
    content, samples = io.BytesIO(), version.waveform.clamp(-1, 1).numpy()
    soundfile.write(content, samples, sample_rate, format="FLAC", subtype="PCM_16")
    return Clip(label, content.getvalue(), f"{seconds:.2f} s, {level:.1f} dBFS")
