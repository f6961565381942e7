"""Recognition of whole corpora: short utterances in batches, long recordings one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tqdm import tqdm

from deepspeech2.audio.blocks import blocks
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.decoding import Decoder
from deepspeech2.errors import AudioError
from deepspeech2.evaluation import (
    LAYOUT,
    ErrorBudget,
    Evaluation,
    Recognized,
    count_result,
    error_budget_of_parts,
    evaluate,
)
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.types import Failure, Hypothesis, Padded, Utterance


def run_short(
    recognizer: Recognizer,
    loader: SpeechLoader,
    decoders: Sequence[Decoder],
    on_result: Callable[[Recognized], None],
    *,
    title: str,
) -> Evaluation:
    """Recognise a whole loader; results go to ``on_result`` one by one."""
    return evaluate(
        recognizer.pipeline,
        loader,
        decoders,
        recognizer.text_encoder,
        recognizer.device,
        title=title,
        on_result=on_result,
        budget=True,
    )


def run_long(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    decoders: Sequence[Decoder],
    evaluation: Evaluation,
    on_result: Callable[[Recognized], None],
    *,
    max_segment: float,
    title: str,
) -> None:
    """Recognise long recordings one after the other; what is scored goes to ``evaluation``."""
    total = sum(each.duration for each in utterances)
    with tqdm(total=total, desc=title, unit="s", bar_format=LAYOUT, leave=False) as bar:

        def advance(seconds: float) -> None:
            bar.update(min(seconds, total - bar.n))

        for utterance in utterances:
            try:
                result = _recognize_long(recognizer, utterance, decoders, max_segment, advance)
            except AudioError as error:
                evaluation.failures.append(Failure(utterance, str(error), error.seconds))
                continue
            count_result(evaluation, result, decoders, recognizer.text_encoder)
            on_result(result)


def _recognize_long(
    recognizer: Recognizer,
    utterance: Utterance,
    decoders: Sequence[Decoder],
    max_segment: float,
    advance: Callable[[float], None],
) -> Recognized:
    """What each decoder heard, and what its errors are owed to if there is a reference."""
    encoder = recognizer.text_encoder
    reference = None if utterance.text is None else encoder.normalize(utterance.text)
    budgets: dict[str, ErrorBudget] = {}

    def examine(parts: Padded, found: Mapping[str, Sequence[Hypothesis]]) -> None:
        for decoder in decoders if reference is not None else ():
            texts = [each.text for each in found[decoder.name]]
            budget = error_budget_of_parts(decoder, parts, reference or "", texts, encoder)
            if budget is not None:
                budgets[decoder.name] = budget

    recording = partial(
        blocks,
        utterance.audio,
        sample_rate=recognizer.sample_rate,
        offset=utterance.offset,
        duration=utterance.duration,
        channel=utterance.channel,
    )
    heard = recognizer.listen(
        recording, decoders, max_segment=max_segment, heard=advance, examine=examine
    )
    return Recognized(utterance, reference, {name: [best] for name, best in heard.items()}, budgets)
