"""Tuning of a language model's weights: the network runs once, the decoder with many settings."""

from __future__ import annotations

import hashlib
import io
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from deepspeech2.checkpoint import network_digest
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.decoding import LanguageModelDecoder
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.metrics.edits import EditCounts, character_edits, word_edits
from deepspeech2.progress import AudioBar
from deepspeech2.settings import TunerSettings
from deepspeech2.types import Batch, Padded, Utterance
from deepspeech2.user_cache import read_sealed, write_sealed

_FORMAT = "deepspeech2-emissions-1"
_MANY_TIES = 0.1  # share of the settings that may have the lowest WER before it is reported
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Emissions:
    """Log-probabilities of utterances that have a reference.

    Attributes:
        log_probs: (T_i, V) float32 of each utterance.
        references: their normalised transcripts.
    """

    log_probs: list[Tensor]
    references: list[str]

    @property
    def n_frames(self) -> int:
        return sum(map(len, self.log_probs))

    def batches(self, size: int = 64) -> Iterator[tuple[Padded, list[str]]]:
        """Yield batches of utterances of similar length, with their references."""
        order = sorted(range(len(self.log_probs)), key=lambda index: len(self.log_probs[index]))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield (
                Padded.stack([self.log_probs[index] for index in chosen]),
                [self.references[index] for index in chosen],
            )


def emissions(
    recognizer: Recognizer, loader: SpeechLoader, path: Path, *, title: str | None
) -> Emissions:
    """Read the emissions at ``path``, or compute them and write them there.

    Args:
        recognizer: its network computes them.
        loader: the corpus; utterances without a reference or with broken audio are left out.
        path: a file named by :func:`identity`.
        title: of the progress bar; None shows none.
    """
    if (saved := _saved(path)) is not None:
        return saved
    result = _compute(recognizer, loader, title)
    content = {
        "format": _FORMAT,
        "log_probs": torch.cat(result.log_probs) if result.log_probs else torch.zeros(0, 1),
        "lengths": [len(each) for each in result.log_probs],
        "references": result.references,
    }
    file = io.BytesIO()
    torch.save(content, file)
    try:
        write_sealed(path, file.getvalue())
    except OSError as error:
        _log.warning(
            "%s is computed anew each time: it cannot be written (%s); set tuner.emissions_dir to"
            " another folder",
            path,
            error,
        )
    return result


def _saved(path: Path) -> Emissions | None:
    """Read what an earlier call of this user wrote; None if there is none, or it was changed."""
    written = read_sealed(path)
    if written is None:
        return None
    content = torch.load(io.BytesIO(written), map_location="cpu", weights_only=True)
    if content["format"] != _FORMAT:
        return None
    return Emissions(list(content["log_probs"].split(content["lengths"])), content["references"])


def identity(checkpoint: Path, utterances: tuple[Utterance, ...]) -> str:
    """Return a name that no other network or selection of recordings has.

    Other content of the checkpoint, such as decoder and calibration, does not matter.

    Raises:
        CheckpointError: the file is not a checkpoint.
    """
    digest = hashlib.sha256(network_digest(checkpoint).encode())
    for each in utterances:
        status = each.audio.stat() if each.audio.exists() else None
        described = (each.id, str(each.audio.resolve()), each.offset, each.duration, each.text)
        changed = (status.st_size, status.st_mtime_ns) if status else ()
        digest.update(repr((*described, *changed)).encode())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def _compute(recognizer: Recognizer, loader: SpeechLoader, title: str | None) -> Emissions:
    result = Emissions([], [])
    sampler = loader.sampler
    total = sum(float(sampler.durations[batch].sum()) for batch in sampler.batches(0))
    with AudioBar(total, title) as bar, closing(loader.pass_once()) as batches:
        for batch in batches:
            _add(result, recognizer, batch)
            bar.advance(batch.duration)
    return result


def _add(result: Emissions, recognizer: Recognizer, batch: Batch) -> None:
    if not len(batch):
        return
    waveforms = batch.waveforms.to(recognizer.pipeline.device)
    rows = recognizer.pipeline.emissions(waveforms).to("cpu").unpad()
    for utterance, row in zip(batch.utterances, rows, strict=True):
        if utterance.text is not None:
            result.log_probs.append(row.float().clone())
            result.references.append(recognizer.text_encoder.normalize(utterance.text))


@dataclass(frozen=True, slots=True)
class Trial:
    """Weights and their results, which do not count when trials are compared.

    Attributes:
        frames_per_second: on this machine.
    """

    lm_weight: float
    word_score: float
    prior_weight: float
    unknown_score: float | None
    beam_size: int
    wer: float = field(default=1.0, compare=False)
    cer: float = field(default=1.0, compare=False)
    frames_per_second: float = field(default=0.0, compare=False)

    def applied(self, decoder: LanguageModelDecoder, nbest: int) -> LanguageModelDecoder:
        """Return ``decoder`` with these weights."""
        return decoder.reweighed(
            lm_weight=self.lm_weight,
            word_score=self.word_score,
            unknown_score=self.unknown_score,
            prior_weight=self.prior_weight,
            beam_size=self.beam_size,
            nbest=nbest,
        )

    def distance(self, other: Trial) -> float:
        """Return how far the three weights are from those of ``other``."""
        return (
            abs(self.lm_weight - other.lm_weight)
            + abs(self.word_score - other.word_score)
            + abs(self.prior_weight - other.prior_weight)
        )


def tune(
    decoder: LanguageModelDecoder,
    emissions: Emissions,
    settings: TunerSettings,
    *,
    progress: bool = True,
) -> tuple[Trial, list[Trial]]:
    """Search weights; return the best, and all that were tried in their order.

    First the decoder's own weights and a grid over weight and word score; at the best point the
    weights of the prior; all three refined around their best point; there the scores for unknown
    words; there the beams. Each search stays at its start unless something has a lower WER; of
    several that do, it takes the one with the lowest CER, then the one nearest to the start.
    """
    tried: dict[Trial, Trial] = {}
    bar = tqdm(desc="tuning", unit="trial", disable=not progress, leave=False)

    def best_of(candidates: Sequence[Trial]) -> Trial:
        results: list[Trial] = []
        for candidate in candidates:
            if candidate not in tried:
                tried[candidate] = _measure(decoder, emissions, candidate)
                bar.update()
            results.append(tried[candidate])
            least = min(tried.values(), key=lambda trial: trial.wer)
            bar.set_postfix_str(f"best WER {100 * least.wer:.2f} %")
        start = results[0]
        best = min(results, key=lambda trial: (trial.wer, trial.cer, trial.distance(start)))
        return best if best.wer < start.wer else start

    with bar:
        best = _weigh(best_of, decoder, settings)
        scores = [best.unknown_score, *settings.unknown_score]
        best = best_of([replace(best, unknown_score=score) for score in scores])
        beams = sorted({*settings.beam_size, settings.search_beam_size})
        widest = [best_of([replace(best, beam_size=beam)]) for beam in beams]
    least = min(trial.wer for trial in widest)
    best = next(trial for trial in widest if trial.wer <= least + settings.tolerance)
    return best, list(tried.values())


def ties(tried: Sequence[Trial], search_beam_size: int) -> str | None:
    """Return a warning if too many weights are equally good on the development set."""
    searched = [trial for trial in tried if trial.beam_size == search_beam_size]
    least = min(trial.wer for trial in searched)
    n_ties = sum(trial.wer == least for trial in searched)
    if n_ties < max(3, _MANY_TIES * len(searched)):
        return None
    return (
        f"{n_ties} of {len(searched)} settings have the same WER: the development set is too small"
        " or too easy to choose by; the earlier settings stay where nothing is better"
    )


def _weigh(
    best_of: Callable[[Sequence[Trial]], Trial],
    decoder: LanguageModelDecoder,
    settings: TunerSettings,
) -> Trial:
    """Find the best weight of the model, word score and weight of the prior."""
    weights, words = sorted(set(settings.lm_weight)), sorted(set(settings.word_score))
    priors = sorted(set(settings.prior_weight))
    fused, beam = decoder.fused, settings.search_beam_size
    start = Trial(fused.weight, fused.word_score, decoder.prior.weight, fused.unknown_score, beam)
    grid = [
        replace(start, lm_weight=weight, word_score=word, prior_weight=priors[0])
        for weight, word in itertools.product(weights, words)
    ]
    best = best_of([start, *grid])
    best = best_of([best, *(replace(best, prior_weight=prior) for prior in priors)])
    steps = [_step(weights), _step(words), _step(priors)]
    for _ in range(settings.refinements):
        steps = [step / 2 for step in steps]
        around = itertools.product(*((-step, 0.0, step) if step else (0.0,) for step in steps))
        corners = [
            replace(
                best,
                lm_weight=max(0.0, round(best.lm_weight + weight, 4)),
                word_score=round(best.word_score + word, 4),
                prior_weight=max(0.0, round(best.prior_weight + prior, 4)),
            )
            for weight, word, prior in around
        ]
        best = best_of([best, *corners])  # which stays where nothing is better
    return best


def _step(values: Sequence[float]) -> float:
    """Return the mean distance of ascending values."""
    return (values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else 0.0


def _measure(decoder: LanguageModelDecoder, emissions: Emissions, trial: Trial) -> Trial:
    reweighed = trial.applied(decoder, nbest=1)
    counts, characters = EditCounts(), EditCounts()
    start = time.perf_counter()
    for log_probs, references in emissions.batches():
        for reference, [best, *_] in zip(references, reweighed(log_probs), strict=True):
            counts += word_edits(reference, best.text)
            characters += character_edits(reference, best.text)
    speed = emissions.n_frames / (time.perf_counter() - start)
    return replace(trial, wer=counts.rate, cer=characters.rate, frames_per_second=speed)
