"""Recognition of a whole corpus: short utterances in batches, long recordings one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.reading import AudioInfo, probe_all
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.decoding import Decoder
from deepspeech2.error_budget import error_budget_of_parts
from deepspeech2.errors import AudioError
from deepspeech2.evaluation import (
    Evaluation,
    Recognized,
    count_result,
    evaluate,
)
from deepspeech2.inference.prediction_files import recall
from deepspeech2.inference.prediction_folder import PredictionFolder
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.metrics import Metric
from deepspeech2.progress import AudioBar
from deepspeech2.types import Failure, Utterance


def split_channels(corpus: Corpus) -> Corpus:
    """Return the same corpus with an utterance for each channel of each recording."""
    paths = list(dict.fromkeys(each.audio for each in corpus))
    infos = dict(zip(paths, probe_all(paths), strict=True))
    utterances: list[Utterance] = []
    for each in corpus:
        info = infos[each.audio]
        n_channels = info.channels if isinstance(info, AudioInfo) else 1
        utterances += [
            replace(each, id=f"{each.id}-channel{channel}", channel=channel)
            for channel in range(1, n_channels + 1)
        ]
    return Corpus(corpus.name, utterances, corpus.exclusions)


@dataclass(frozen=True, slots=True)
class CorpusTranscriber:
    """Recognise corpora and write their predictions.

    Attributes:
        open_loader: makes the loader of short utterances.
        max_segment: seconds; longer recordings are recognised in pieces. None: none are.
        metrics: of the user's own, by name.
    """

    recognizer: Recognizer
    open_loader: Callable[[Sequence[Utterance]], SpeechLoader]
    max_segment: float | None
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def __call__(
        self, corpus: Corpus, folder: PredictionFolder
    ) -> tuple[Evaluation, list[Failure]]:
        """Recognise what ``folder`` lacks of ``corpus``, and finish the folder.

        Returns:
            Counts over the whole corpus, and the recordings that could not be read, or not all.
        """
        # what an earlier run has predicted is only counted
        earlier = folder.finished(corpus.utterances)
        rest = [each for each in corpus.utterances if each.id not in earlier]
        # without a reference there is nothing to compare: only the chosen decoder runs
        scored = any(each.text is not None for each in corpus)
        decoders = self.recognizer.decoders if scored else [self.recognizer.decoder]
        evaluation = self._recognize(rest, decoders, folder.write, corpus.name)
        recall(evaluation, earlier.values(), self.recognizer.decoder.name)
        evaluation.measure(self.metrics)
        # a recording may turn out to be broken now, or was already left out of the corpus
        broken = [
            *evaluation.failures,
            *(
                Failure(each.utterance, each.reason, each.utterance.duration)
                for each in corpus.exclusions
                if each.utterance is not None
            ),
        ]
        for failure in broken:
            folder.write_error(failure.utterance, failure.reason)
        # what can be read of a broken recording is transcribed, but counts in no score
        reasons = {each.utterance.id: each.reason for each in broken}
        readable = [replace(f.utterance, duration=f.seconds) for f in broken if f.seconds > 0]

        def write_part(result: Recognized) -> None:
            folder.write(result, reasons[result.utterance.id])

        self._recognize(readable, decoders, write_part, corpus.name)
        folder.finish()
        return evaluation, broken

    def _recognize(
        self,
        utterances: Sequence[Utterance],
        decoders: Sequence[Decoder],
        write: Callable[[Recognized], None],
        title: str,
    ) -> Evaluation:
        longest = math.inf if self.max_segment is None else self.max_segment
        short = [each for each in utterances if each.duration <= longest]
        long = [each for each in utterances if each.duration > longest]
        recognizer = self.recognizer
        evaluation = Evaluation.of(recognizer.decoders, budget=True, pairs=bool(self.metrics))
        if short:
            evaluation = evaluate(
                recognizer.pipeline,
                self.open_loader(short),
                decoders,
                recognizer.text_encoder,
                title=title,
                on_result=write,
                budget=True,
                pairs=bool(self.metrics),
            )
        if not long:
            return evaluation
        with AudioBar(sum(each.duration for each in long), title) as bar:
            for utterance in long:
                try:
                    result = self._recognize_long(utterance, decoders, longest, bar.advance)
                except AudioError as error:
                    evaluation.failures.append(Failure(utterance, str(error), error.seconds))
                    continue
                count_result(evaluation, result, decoders, recognizer.text_encoder)
                write(result)
        return evaluation

    def _recognize_long(
        self,
        utterance: Utterance,
        decoders: Sequence[Decoder],
        max_segment: float,
        on_progress: Callable[[float], None],
    ) -> Recognized:
        """Recognise one recording in pieces, and find what caused its errors."""
        encoder = self.recognizer.text_encoder
        reference = None if utterance.text is None else encoder.normalize(utterance.text)
        recording = partial(
            blocks,
            utterance.audio,
            sample_rate=self.recognizer.sample_rate,
            offset=utterance.offset,
            duration=utterance.duration,
            channel=utterance.channel,
        )
        parts = self.recognizer.listen(
            recording, decoders, max_segment=max_segment, on_progress=on_progress
        )
        nbest = {name: [best] for name, best in parts.joined().items()}
        result = Recognized(utterance, reference, nbest)
        for decoder in decoders if reference is not None else ():
            texts = [each.text for each in parts.hypotheses[decoder.name]]
            budget = error_budget_of_parts(
                decoder, parts.log_probs, reference or "", texts, encoder
            )
            if budget is not None:
                result.budgets[decoder.name] = budget
        return result
