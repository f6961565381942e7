"""A few utterances through the augmentations, as audio and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from tqdm import tqdm

from deepspeech2.datasets.dataset import SpeechDataset
from deepspeech2.extras.checks import spread
from deepspeech2.extras.checks.preview.folder import AS_RECORDED, Shown, Story, clip, detail
from deepspeech2.extras.checks.preview.steps import (
    Step,
    Version,
    as_recorded,
    choose,
    together,
    versions,
)
from deepspeech2.transforms import FrontEnd
from deepspeech2.types import Sample, Utterance
from deepspeech2.writer.histograms import neutral_png
from deepspeech2.writer.pictures import spectrograms

_SPARE = 4  # times as many as are asked for are tried, for some may be broken
TOGETHER = "all together"


def read(utterances: Sequence[Utterance], sample_rate: int, number: int) -> list[Sample]:
    """Up to ``number`` readable utterances of a length that one likes to listen to."""
    fitting = [utterances[i] for i in choose([item.duration for item in utterances])]
    tried = spread(fitting, _SPARE * number)
    dataset = SpeechDataset(tried, lambda text: [], sample_rate=sample_rate)
    # at even distances first, then those between, should one be broken
    order = [index for start in range(_SPARE) for index in range(start, len(tried), _SPARE)]
    found: list[Sample] = []
    for index in order:
        item = dataset[index]
        if isinstance(item, Sample):
            found.append(item)
        if len(found) == number:
            break
    return found


def tell(
    front_end: FrontEnd,
    steps: Sequence[Step],
    samples: Sequence[Sample],
    *,
    draws: int,
    seed: int,
) -> list[Story]:
    """Each sample through each step, and through all."""
    stories = [Story(sample.utterance) for sample in samples]
    total = len(samples) * (len(steps) + 1)
    with tqdm(
        total=total, desc="drawing", unit=" pictures", leave=False, delay=1, disable=None
    ) as bar:
        for sample, story in zip(samples, stories, strict=True):
            for step in (*steps, None):
                story.shown.append(_show(front_end, step, sample.waveform, draws, seed))
                bar.update()
    return stories


def _show(front_end: FrontEnd, step: Step | None, waveform: Tensor, draws: int, seed: int) -> Shown:
    """One step, or all of them for None."""
    before = as_recorded(front_end, waveform)
    if step is None:
        made = together(front_end, waveform, draws + 1, seed)
        title, told = TOGETHER, "as training does, in this order"
    else:
        made = versions(front_end, step, waveform, draws, seed)
        title, told = step.name, detail(step)
    labelled = [(AS_RECORDED, before), *((f"draw {n}", each) for n, each in enumerate(made, 1))]
    rate = front_end.sample_rate
    clips = [clip(label, each, rate, before) for label, each in labelled]
    picture = _picture(labelled, front_end)
    return Shown(title, told, clips, picture, unchanged=not made)


def _picture(labelled: Sequence[tuple[str, Version]], front_end: FrontEnd) -> bytes:
    rows = [(label, each.features.numpy()) for label, each in labelled]
    figure = spectrograms(rows, front_end.seconds_per_frame)
    figure.set_size_inches(9, 0.6 + 1.7 * len(rows))
    return neutral_png(figure, dpi=100)
