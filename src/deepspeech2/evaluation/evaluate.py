"""The pass itself."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

import torch

from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.decoding import Decoder, fired
from deepspeech2.evaluation.budget import error_budgets
from deepspeech2.evaluation.result import Evaluation, Recognized
from deepspeech2.pipeline import Pipeline
from deepspeech2.progress import AudioBar
from deepspeech2.text import TextEncoder
from deepspeech2.types import Batch, Hypothesis, Padded


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
    should_stop: Callable[[], bool] | None = None,
    budget: bool = False,
) -> Evaluation:
    """Recognise every utterance of ``loader`` once and score those that have a reference.

    Args:
        title: stands before the progress bar; None shows none.
        on_result: takes each result as it comes, instead of ``Evaluation.results``.
        should_stop: asked before each batch; once it is true the pass ends.
        budget: also find what the errors are owed to.
    """
    evaluation = Evaluation.of(decoders, budget=budget)
    take = on_result or evaluation.results.append
    total = torch.zeros((), device=device)
    count = torch.zeros((), device=device)
    was_training = pipeline.training
    pipeline.eval()
    with closing(_with_progress(loader, title)) as batches:
        for batch in batches:
            if should_stop is not None and should_stop():
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
            results = _recognized(batch, heard, text_encoder)
            if budget:
                _find_budgets(results, log_probs, decoders, text_encoder)
            for result in results:
                count_result(evaluation, result, decoders, text_encoder)
                take(result)
    pipeline.train(was_training)
    evaluation.total, evaluation.count = torch.stack((total, count)).tolist()
    return evaluation


def _recognized(
    batch: Batch, heard: dict[str, list[list[Hypothesis]]], text_encoder: TextEncoder
) -> list[Recognized]:
    return [
        Recognized(
            utterance,
            None if utterance.text is None else text_encoder.normalize(utterance.text),
            {name: lists[index] for name, lists in heard.items()},
        )
        for index, utterance in enumerate(batch.utterances)
    ]


def _find_budgets(
    results: Sequence[Recognized],
    log_probs: Padded,
    decoders: Sequence[Decoder],
    text_encoder: TextEncoder,
) -> None:
    """Note in each result with a reference what its errors are owed to."""
    known = [index for index, each in enumerate(results) if each.reference is not None]
    if not known:
        return
    chosen = Padded(log_probs.data[known], log_probs.lengths[known])
    references = [results[index].reference or "" for index in known]
    for decoder in decoders:
        texts = [results[index].hypotheses[decoder.name][0].text for index in known]
        budgets = error_budgets(decoder, chosen, references, texts, text_encoder)
        for index, found in zip(known, budgets or (), strict=budgets is not None):
            results[index].budgets[decoder.name] = found


def count_result(
    evaluation: Evaluation,
    result: Recognized,
    decoders: Sequence[Decoder],
    text_encoder: TextEncoder,
) -> None:
    """Count an utterance: its scores, what its errors are owed to, and the hot phrases heard."""
    if result.reference is not None:
        texts = {name: [h.text for h in nbest] for name, nbest in result.hypotheses.items()}
        evaluation.score(result.reference, texts)
    evaluation.account(result.budgets)
    for decoder in decoders:
        if decoder.hotwords:
            best = result.hypotheses[decoder.name][0]
            evaluation.hot[decoder.name].update(fired(best.text, decoder.hotwords, text_encoder))


def _with_progress(loader: SpeechLoader, title: str | None) -> Generator[Batch, None, None]:
    """The batches under a bar that counts seconds of audio."""
    sampler = loader.sampler
    seconds = sum(float(sampler.durations[batch].sum()) for batch in sampler.batches(0))
    with AudioBar(seconds, title) as bar, closing(loader.pass_once()) as batches:
        for batch in batches:
            yield batch
            failed = sum(failure.utterance.duration for failure in batch.failures)
            bar.advance(batch.duration + failed)
