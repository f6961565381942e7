"""Recognition of whole corpora: short utterances in batches, long recordings one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tqdm import tqdm

from src.audio.blocks import blocks
from src.datasets.loader import SpeechLoader
from src.decoding import Decoder
from src.errors import AudioError
from src.evaluation import LAYOUT, Evaluation, Recognized, evaluate, note_hot_words
from src.inference.recognizer import Recognizer
from src.types import Failure, Utterance


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
                part = {"offset": utterance.offset, "duration": utterance.duration}
                rate = recognizer.sample_rate
                recording = partial(blocks, utterance.audio, sample_rate=rate, **part)
                heard = recognizer.listen(
                    recording, decoders, max_segment=max_segment, heard=advance
                )
            except AudioError as error:
                evaluation.failures.append(Failure(utterance, str(error)))
                continue
            reference = None
            if utterance.text is not None:
                reference = recognizer.text_encoder.normalize(utterance.text)
                texts = {name: [best.text] for name, best in heard.items()}
                evaluation.score(reference, texts)
            nbest = {name: [best] for name, best in heard.items()}
            result = Recognized(utterance, reference, nbest)
            note_hot_words(evaluation, result, decoders, recognizer.text_encoder)
            on_result(result)
