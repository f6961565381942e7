"""A pass over a loader: hypotheses, counts and a loss. Training and inference share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import torch

from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.decoding import Decoder, fired
from deepspeech2.error_budget import ErrorBudget, error_budgets
from deepspeech2.metrics import CorpusScore, Metric, measure, word_edits
from deepspeech2.pipeline import Pipeline
from deepspeech2.progress import AudioBar
from deepspeech2.text import Tokenizer
from deepspeech2.types import Batch, Failure, Hypothesis, Padded, Utterance


@dataclass(frozen=True, slots=True)
class Recognized:
    """An utterance and the hypotheses of each decoder.

    Attributes:
        reference: the normalised transcript; None if there is none.
        hypotheses: for each decoder's name its n-best list, best first, never empty.
        budgets: for each decoder's name what caused its errors, if that was asked for.
    """

    utterance: Utterance
    reference: str | None
    hypotheses: dict[str, list[Hypothesis]]
    budgets: dict[str, ErrorBudget] = field(default_factory=dict)


@dataclass(slots=True)
class Evaluation:
    """The counts of a pass.

    Attributes:
        scores: for each decoder's name the edits over all utterances that have a reference.
        total, count: the loss of those utterances in nats, and their characters.
        results: every utterance, unless the caller took them one by one.
        failures: utterances whose audio could not be read.
        complete: false if the pass was stopped.
        oracles: as ``scores``, of the best hypothesis of each n-best list.
        several: for each decoder's name whether any of its lists had several.
        budgets: for each decoder's name what caused its errors, if that was asked for.
        hot: for each decoder's name its hot phrases, and in how many utterances they are.
        pairs: for each decoder's name the references and its best texts, if that was asked for.
        measured: for each decoder's name the user's own metrics, after :meth:`measure`.
    """

    scores: dict[str, CorpusScore]
    total: float = 0.0
    count: float = 0.0
    results: list[Recognized] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    complete: bool = True
    oracles: dict[str, CorpusScore] = field(default_factory=dict)
    several: dict[str, bool] = field(default_factory=dict)
    budgets: dict[str, ErrorBudget] = field(default_factory=dict)
    hot: dict[str, Counter[str]] = field(default_factory=dict)
    pairs: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    measured: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, decoders: Sequence[Decoder], *, budget: bool = False, pairs: bool = False
    ) -> Evaluation:
        """Make an empty one with an entry for each decoder."""
        names = [decoder.name for decoder in decoders]
        return cls(
            {name: CorpusScore() for name in names},
            oracles={name: CorpusScore() for name in names},
            several=dict.fromkeys(names, False),
            budgets={name: ErrorBudget() for name in names} if budget else {},
            hot={decoder.name: Counter() for decoder in decoders if decoder.hotwords},
            pairs={name: [] for name in names} if pairs else {},
        )

    @classmethod
    def merged(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """Add up the parts of several ranks."""
        whole = cls({})
        for part in parts:
            whole.total += part.total
            whole.count += part.count
            whole.results += part.results
            whole.failures += part.failures
            whole.complete &= part.complete
            for name, several in part.several.items():
                whole.several[name] = whole.several.get(name, False) or several
            for key in ("scores", "oracles", "budgets", "hot", "pairs"):
                sums: dict[str, Any] = getattr(whole, key)
                for name, value in getattr(part, key).items():
                    sums[name] = sums[name] + value if name in sums else value
        return whole

    def score(self, reference: str, nbest: Mapping[str, Sequence[str]]) -> None:
        """Count an utterance: for each decoder's name the texts of its n-best list."""
        for name, texts in nbest.items():
            self.scores[name].add(reference, texts[0])
            best = min(texts, key=lambda text: word_edits(reference, text).errors)
            self.oracles[name].add(reference, best)
            self.several[name] |= len(texts) > 1
            if name in self.pairs:
                self.pairs[name].append((reference, texts[0]))

    def account(self, budgets: Mapping[str, ErrorBudget]) -> None:
        """Count what caused an utterance's errors, for each decoder that is asked about."""
        for name in self.budgets.keys() & budgets.keys():
            self.budgets[name] += budgets[name]

    def measure(self, metrics: Mapping[str, Metric]) -> None:
        """Compute the user's own metrics of the pairs."""
        self.measured = {name: measure(metrics, each, name) for name, each in self.pairs.items()}

    def values(self) -> dict[str, float]:
        """Return metrics by their logged names, without the part: ``WER_(Argmax)``, ``loss``."""
        named = {"loss": self.total / self.count} if self.count else {}
        for name, score in self.scores.items():
            if score.utterances:
                named[f"WER_({name})"] = score.wer
                named[f"CER_({name})"] = score.cer
        for name, measured in self.measured.items():
            named |= {f"{metric}_({name})": value for metric, value in measured.items()}
        return named


@torch.no_grad()
def evaluate(
    pipeline: Pipeline,
    loader: SpeechLoader,
    decoders: Sequence[Decoder],
    text_encoder: Tokenizer,
    *,
    title: str | None,
    on_result: Callable[[Recognized], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    budget: bool = False,
    pairs: bool = False,
) -> Evaluation:
    """Recognise every utterance of ``loader`` once, score those that have a reference.

    Args:
        title: of the progress bar; None shows none.
        on_result: takes each result as it comes, instead of ``Evaluation.results``.
        should_stop: asked before each batch; once it is true the pass ends.
        budget: also find what caused the errors.
        pairs: also keep references and hypotheses, for metrics of one's own.
    """
    evaluation = Evaluation.of(decoders, budget=budget, pairs=pairs)
    take = on_result or evaluation.results.append
    total, count = torch.zeros(2, device=pipeline.device)
    was_training = pipeline.training
    pipeline.eval()
    with closing(_with_progress(loader, title)) as batches:
        for batch in batches:
            if should_stop is not None and should_stop():
                evaluation.complete = False
                break
            evaluation.failures += batch.failures
            if not len(batch):
                continue

            # the sums of the loss stay on the device until the end
            moved = batch.to(pipeline.device, non_blocking=True)
            loss, log_probs = pipeline(moved.waveforms, moved.labels)
            if all(utterance.text is not None for utterance in batch.utterances):
                total += loss.total
                count += loss.count

            hypotheses = {decoder.name: decoder(log_probs) for decoder in decoders}
            results = _recognized(batch, hypotheses, text_encoder)
            if budget:
                _find_budgets(results, log_probs, decoders, text_encoder)
            for result in results:
                count_result(evaluation, result, decoders, text_encoder)
                take(result)
    pipeline.train(was_training)
    evaluation.total, evaluation.count = torch.stack((total, count)).tolist()
    return evaluation


def count_result(
    evaluation: Evaluation,
    result: Recognized,
    decoders: Sequence[Decoder],
    text_encoder: Tokenizer,
) -> None:
    """Count an utterance: its scores, what caused its errors, and its hot phrases."""
    if result.reference is not None:
        texts = {name: [h.text for h in nbest] for name, nbest in result.hypotheses.items()}
        evaluation.score(result.reference, texts)
    evaluation.account(result.budgets)
    for decoder in decoders:
        if decoder.hotwords:
            best = result.hypotheses[decoder.name][0]
            evaluation.hot[decoder.name].update(fired(best.text, decoder.hotwords, text_encoder))


def _recognized(
    batch: Batch, hypotheses: dict[str, list[list[Hypothesis]]], text_encoder: Tokenizer
) -> list[Recognized]:
    return [
        Recognized(
            utterance,
            None if utterance.text is None else text_encoder.normalize(utterance.text),
            {name: lists[index] for name, lists in hypotheses.items()},
        )
        for index, utterance in enumerate(batch.utterances)
    ]


def _find_budgets(
    results: Sequence[Recognized],
    log_probs: Padded,
    decoders: Sequence[Decoder],
    text_encoder: Tokenizer,
) -> None:
    """Add to each result with a reference what caused its errors."""
    known = [index for index, each in enumerate(results) if each.reference is not None]
    if not known:
        return
    chosen = Padded(log_probs.data[known], log_probs.lengths[known])
    references = [results[index].reference or "" for index in known]
    for decoder in decoders:
        texts = [results[index].hypotheses[decoder.name][0].text for index in known]
        budgets = error_budgets(decoder, chosen, references, texts, text_encoder)
        for index, budget in zip(known, budgets or (), strict=budgets is not None):
            results[index].budgets[decoder.name] = budget


def _with_progress(loader: SpeechLoader, title: str | None) -> Generator[Batch, None, None]:
    """Yield the batches under a bar that counts seconds of audio."""
    sampler = loader.sampler
    seconds = sum(float(sampler.durations[batch].sum()) for batch in sampler.batches(0))
    with AudioBar(seconds, title) as bar, closing(loader.pass_once()) as batches:
        for batch in batches:
            yield batch
            failed = sum(failure.utterance.duration for failure in batch.failures)
            bar.advance(batch.duration + failed)
