"""A pass over a loader: hypotheses, counts and a loss. Training and inference share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from tqdm import tqdm

from src.datasets.loader import SpeechLoader
from src.decoding import Decoder
from src.metrics import CorpusScore
from src.pipeline import Pipeline
from src.text import TextEncoder
from src.types import Batch, Failure, Hypothesis, Utterance


@dataclass(frozen=True, slots=True)
class Recognized:
    """An utterance and what each decoder heard.

    Attributes:
        reference: the normalised transcript; None if there is none.
        hypotheses: for each decoder's name its n-best list, best first, never empty.
    """

    utterance: Utterance
    reference: str | None
    hypotheses: dict[str, list[Hypothesis]]


@dataclass(slots=True)
class Evaluation:
    """What a pass found.

    Attributes:
        scores: for each decoder's name the edits over all utterances that have a reference.
        total, count: the loss of those utterances in nats, and their characters.
        results: every utterance, unless the caller took them one by one.
        failures: utterances whose audio could not be read.
        complete: false if the pass was called off.
    """

    scores: dict[str, CorpusScore]
    total: float = 0.0
    count: float = 0.0
    results: list[Recognized] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    complete: bool = True

    @classmethod
    def merged(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """The parts of several ranks as one."""
        whole = cls(dict(parts[0].scores), complete=all(part.complete for part in parts))
        for part in parts[1:]:
            for name, score in part.scores.items():
                whole.scores[name] += score
        for part in parts:
            whole.total += part.total
            whole.count += part.count
            whole.results.extend(part.results)
            whole.failures.extend(part.failures)
        return whole

    @property
    def loss(self) -> float | None:
        """Nats per character; None without references."""
        return self.total / self.count if self.count else None

    def values(self) -> dict[str, float]:
        """Metrics by their logged names, without the part: ``WER_(Argmax)``, ``loss``."""
        loss = self.loss
        named = {} if loss is None else {"loss": loss}
        for name, score in self.scores.items():
            if score.utterances:
                named[f"WER_({name})"] = score.wer
                named[f"CER_({name})"] = score.cer
        return named


@torch.no_grad()
def evaluate(
    pipeline: Pipeline,
    loader: SpeechLoader,
    decoders: Sequence[Decoder],
    text_encoder: TextEncoder,
    device: torch.device,
    *,
    title: str | None,
    on_result: Callable[[Recognized], None] | None = None,
    called_off: Callable[[], bool] | None = None,
) -> Evaluation:
    """Recognise every utterance of ``loader`` once and score those that have a reference.

    Args:
        title: stands before the progress bar; None shows none.
        on_result: takes each result as it comes, instead of ``Evaluation.results``.
        called_off: asked before each batch; once it is true the pass ends.
    """
    evaluation = Evaluation({decoder.name: CorpusScore() for decoder in decoders})
    take = on_result or evaluation.results.append
    total = torch.zeros((), device=device)
    count = torch.zeros((), device=device)
    was_training = pipeline.training
    pipeline.eval()
    for batch in _with_progress(loader, title):
        if called_off is not None and called_off():
            evaluation.complete = False
            break
        evaluation.failures.extend(batch.failures)
        if not len(batch):
            continue
        moved = batch.to(device, non_blocking=True)
        loss, log_probs = pipeline(moved.waveforms, moved.labels)
        if all(utterance.text is not None for utterance in batch.utterances):
            total += loss.total
            count += loss.count
        heard = {decoder.name: decoder(log_probs) for decoder in decoders}
        for index, utterance in enumerate(batch.utterances):
            reference = None if utterance.text is None else text_encoder.normalize(utterance.text)
            hypotheses = {name: lists[index] for name, lists in heard.items()}
            if reference is not None:
                for name, nbest in hypotheses.items():
                    evaluation.scores[name].add(reference, nbest[0].text)
            take(Recognized(utterance, reference, hypotheses))
    pipeline.train(was_training)
    evaluation.total, evaluation.count = torch.stack((total, count)).tolist()
    return evaluation


def _with_progress(loader: SpeechLoader, title: str | None) -> Iterator[Batch]:
    """The batches under a bar that counts seconds of audio."""
    sampler = loader.sampler
    seconds = sum(float(sampler.durations[batch].sum()) for batch in sampler.batches(0))
    layout = "{l_bar}{bar}| {n:.0f}/{total:.0f} s of audio [{elapsed}<{remaining}, {rate_fmt}]"
    bar = tqdm(
        total=seconds,
        desc=title,
        unit="s",
        bar_format=layout,
        leave=False,
        dynamic_ncols=True,
        disable=title is None,
    )
    with bar:
        for batch in loader.pass_once():
            yield batch
            failed = sum(failure.utterance.duration for failure in batch.failures)
            bar.update(min(batch.duration + failed, seconds - bar.n))
