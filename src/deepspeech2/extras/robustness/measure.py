"""Recognition of the same speech in the same noise, at one level after another.

The noise of an utterance, one clip and one place in it, is a function of a seed and of the
utterance's id, and the same for every checkpoint at every level. So neither the order nor the size
of batches matters, and levels and checkpoints differ in nothing else. The signal-to-noise ratio is
that of mean powers over the whole utterance, pauses included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.metrics.edits import word_edits
from deepspeech2.progress import AudioBar
from deepspeech2.seeding import generator
from deepspeech2.transforms.noise_folder import Clips
from deepspeech2.types import Batch, Failure, Padded

CLEAN = "clean"

# A stretch that is more than 20 dB below the mean of its clip is a pause of the noise: raised
# to the level asked for, it would be the hiss behind it. Other places are tried first.
_PAUSE = 0.01
_TRIALS = 32


@dataclass(frozen=True, slots=True)
class NoiseResult:
    """An utterance: the words of its reference, its noise, and the word errors at each level."""

    id: str
    words: int
    noise: str
    errors: tuple[int, ...]


@dataclass(slots=True)
class Measured:
    """The results of one checkpoint, utterance by utterance."""

    decoder: str
    results: list[NoiseResult] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class FixedNoise:
    """The noise that belongs to each utterance.

    Args:
        clips: to choose from.
        seed: another one gives each utterance another clip and place.
    """

    def __init__(self, clips: Clips, seed: int) -> None:
        self.clips = clips
        self.seed = seed

    def __call__(self, utterance_id: str, waveform: Tensor) -> tuple[Tensor, str]:
        """Return (S,) noise with the power of ``waveform`` (S,), and the name of its clip."""
        random = generator("cpu", self.seed, "robustness", utterance_id)
        index = int(torch.randint(len(self.clips), (), generator=random))
        clip = self.clips[index].double()
        least = _PAUSE * clip.square().mean()
        best, most = clip[:0], -1.0
        for place in torch.rand(_TRIALS, generator=random).tolist():
            start = min(int(place * len(clip)), len(clip) - 1)
            stretch = clip[(start + torch.arange(len(waveform))) % len(clip)]
            power = float(stretch.square().mean())
            if power > most:
                best, most = stretch, power
            if power >= least:
                break
        scale = math.sqrt(float(waveform.double().square().mean()) / most) if most > 0 else 0.0
        return (scale * best).float(), self.clips.names[index]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recogniser with the corpus and the noise at its sample rate."""

    recognizer: Recognizer
    loader: SpeechLoader
    noise: FixedNoise


@torch.no_grad()
def measure(
    candidates: Mapping[str, Candidate],
    snrs_db: Sequence[float | None],
    *,
    progress: bool = True,
) -> dict[str, Measured]:
    """Recognise a corpus at each level, each checkpoint with its own decoder.

    Args:
        candidates: by the names of their checkpoints, of one corpus in one order, every utterance
            of which has a reference.
        snrs_db: dB; None is speech without noise.
    """
    measured = {name: Measured(each.recognizer.decoder.name) for name, each in candidates.items()}
    seconds = sum(float(each.loader.sampler.durations.sum()) for each in candidates.values())
    total = seconds * len(snrs_db)
    with AudioBar(total, "noise" if progress else None) as bar:
        for name, candidate in candidates.items():
            bar.set_description(name)
            with closing(candidate.loader.pass_once()) as batches:
                for batch in batches:
                    measured[name].failures.extend(batch.failures)
                    if len(batch):
                        measured[name].results += _recognize(candidate, batch, snrs_db, bar)
                    failed = sum(each.utterance.duration for each in batch.failures)
                    bar.advance(len(snrs_db) * failed)
    return measured


def _recognize(
    candidate: Candidate, batch: Batch, snrs_db: Sequence[float | None], bar: AudioBar
) -> list[NoiseResult]:
    """Recognise a batch at each level."""
    recognizer = candidate.recognizer
    pairs = zip(batch.utterances, batch.waveforms.unpad(), strict=True)
    noises, clips = zip(*(candidate.noise(each.id, row) for each, row in pairs), strict=True)
    speech = batch.waveforms.to(recognizer.pipeline.device)
    noise = Padded.stack(noises).to(recognizer.pipeline.device).data
    normalize = recognizer.text_encoder.normalize
    references = [normalize(each.text or "") for each in batch.utterances]
    errors = []
    for snr in snrs_db:
        gain = 0.0 if snr is None else 10.0 ** (-snr / 20.0)
        mixed = Padded(torch.add(speech.data, noise, alpha=gain), speech.lengths)
        hypotheses = recognizer.decoder(recognizer.pipeline.emissions(mixed))
        texts = [best.text for best, *_ in hypotheses]
        errors.append([word_edits(a, b).errors for a, b in zip(references, texts, strict=True)])
        bar.advance(batch.duration)
    rows = zip(batch.utterances, references, clips, zip(*errors, strict=True), strict=True)
    return [
        NoiseResult(utterance.id, len(reference.split()), clip, counts)
        for utterance, reference, clip, counts in rows
    ]


def level_name(snr: float | None) -> str:
    """Return a level as people read it: "clean", "5 dB"."""
    return CLEAN if snr is None else f"{snr:g} dB"
