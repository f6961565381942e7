"""A trained model, ready to listen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor

from deepspeech2 import checkpoint
from deepspeech2.audio.reading import read_audio
from deepspeech2.datasets.bucketing import plan_epoch
from deepspeech2.decoding import (
    BeamSearchDecoder,
    Decoder,
    GreedyDecoder,
    LanguageModelDecoder,
    Word,
    words,
)
from deepspeech2.decoding.align import Alignment, align
from deepspeech2.engine import pick_device
from deepspeech2.inference.audio_input import Audio, Given
from deepspeech2.inference.calibration import Confidence, RawConfidence, restored
from deepspeech2.inference.delay import emission_delay
from deepspeech2.inference.long import (
    MAX_SEGMENT,
    TOGETHER,
    Examine,
    Recording,
    listen,
    nobody,
    pass_over,
)
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import TextEncoder
from deepspeech2.transcripts import Transcript
from deepspeech2.types import Hypothesis, Padded


class Recognizer:
    """Pipeline, alphabet and decoder of a checkpoint, on a device.

    Attributes:
        origin: SHA-256 of the checkpoint's file; None if it comes from none.
        confidence: how sure it says it is.
        confidence_greedy: the same of the best path.

    >>> recognizer = Recognizer.from_checkpoint("saved/demo/model_best.pth")  # doctest: +SKIP
    >>> recognizer.transcribe("a.wav").text  # doctest: +SKIP
    """

    def __init__(
        self,
        pipeline: Pipeline,
        text_encoder: TextEncoder,
        decoder: Decoder,
        device: torch.device,
        origin: str | None = None,
        confidence: Confidence | None = None,
        confidence_greedy: Confidence | None = None,
    ) -> None:
        self.pipeline = pipeline.to(device).eval()
        self.text_encoder = text_encoder
        self.decoder = decoder
        self.device = device
        self.origin = origin
        self.confidence = confidence or RawConfidence()
        self.confidence_greedy = confidence_greedy or RawConfidence()

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        decoder: Callable[[TextEncoder], Decoder] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Recognizer:
        """Read a checkpoint.

        Args:
            path: relative to the repository's root, or absolute.
            device: auto, cpu, cuda or cuda:N.
            decoder: makes a decoder for the checkpoint's alphabet; None takes the checkpoint's.
            options: of the checkpoint's decoder, which take the place of its own.

        Raises:
            CheckpointError: the file is none.
            SpeechError: the decoder cannot be made, for one because its language model is absent.
            ConfigError: the device does not exist.
        """
        place = resolve(path)
        content = checkpoint.load(place)
        found = checkpoint.restore(content, place, decoder=decoder, options=options)
        confidence = restored(content, place, found.decoder)
        greedy = restored(content, place, GreedyDecoder(found.text_encoder))
        origin = hashlib.sha256(place.read_bytes()).hexdigest()
        parts = (found.pipeline, found.text_encoder, found.decoder)
        return cls(*parts, pick_device(device), origin, confidence, greedy)

    def greedy(self) -> Recognizer:
        """The same network with the best path alone, and its own confidences."""
        own = self.confidence_greedy
        decoder = GreedyDecoder(self.text_encoder)
        return Recognizer(
            self.pipeline, self.text_encoder, decoder, self.device, self.origin, own, own
        )

    @property
    def sample_rate(self) -> int:
        return self.pipeline.front_end.sample_rate

    @property
    def seconds_per_frame(self) -> float:
        """Seconds between two output frames."""
        return self.pipeline.seconds_per_frame

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What its transcripts depend on, as plain values: the checkpoint and the decoder."""
        settings = {k: v for k, v in self.decoder.settings.items() if k != "threads"}
        if not settings.get("prior_weight"):  # it takes nothing off, and older decoders had none
            settings.pop("prior", None)
            settings.pop("prior_weight", None)
        made = {"checkpoint": self.origin, "decoder": self.decoder.name, "settings": settings}
        if isinstance(self.decoder, LanguageModelDecoder):
            made["language_model"] = self.decoder.fused.digest  # another one may lie at its place
        return dict(json.loads(json.dumps(made, default=str)))

    @overload
    def transcribe(
        self,
        audio: Audio,
        *,
        sample_rate: int | None = None,
        max_segment: float = MAX_SEGMENT,
        heard: Callable[[float], None] = nobody,
    ) -> Transcript: ...
    @overload
    def transcribe(
        self,
        audio: list[Any],
        *,
        sample_rate: int | None = None,
        max_segment: float = MAX_SEGMENT,
        heard: Callable[[float], None] = nobody,
    ) -> list[Transcript]: ...
    @torch.no_grad()
    def transcribe(
        self,
        audio: Audio | list[Any],
        *,
        sample_rate: int | None = None,
        max_segment: float = MAX_SEGMENT,
        heard: Callable[[float], None] = nobody,
    ) -> Transcript | list[Transcript]:
        """What is said in a recording, or in each of several, of which short ones go together.

        Args:
            audio: a file of any length, rate and number of channels, or samples (S,) in [-1, 1].
            sample_rate: of samples, in Hz; None: the model's own.
            max_segment: seconds; what is longer is cut where it is quiet.
            heard: of what is longer, is told the seconds that the network has heard, again and
                again; what it raises ends the work.

        Raises:
            AudioError: nothing of a file can be read, or samples are none, not one channel or
                not finite.
        """
        if not isinstance(audio, list):
            return self.transcribe(
                [audio], sample_rate=sample_rate, max_segment=max_segment, heard=heard
            )[0]
        given = [Given(item, sample_rate, self.sample_rate) for item in audio]
        found: dict[int, Transcript] = {}
        short: list[int] = []
        for place, each in enumerate(given):
            if each.seconds <= max_segment:
                short.append(place)
                continue
            best = self.listen(each.recording, [self.decoder], max_segment=max_segment, heard=heard)
            found[place] = self.transcript(best[self.decoder.name], each.seconds, each)
        limits: dict[str, Any] = {"max_batch_duration": TOGETHER, "shuffle": False}
        for batch in plan_epoch([given[p].seconds for p in short], seed=0, epoch=0, **limits):
            places = [short[index] for index in batch]
            found |= zip(places, self._together([given[p] for p in places]), strict=True)
        return [found[place] for place in range(len(given))]

    def _together(self, given: Sequence[Given]) -> list[Transcript]:
        """What is said in each of several short recordings."""
        waveforms = [each.waveform() for each in given]
        heard = self.decoder(self.pipeline.emissions(Padded.stack(waveforms).to(self.device)))
        return [
            self.transcript(nbest[0], len(waveform) / self.sample_rate, each)
            for each, waveform, nbest in zip(given, waveforms, heard, strict=True)
        ]

    def transcript(
        self, best: Hypothesis, seconds: float, given: Given | None = None
    ) -> Transcript:
        """A hypothesis of a recording of so many seconds, with its words."""
        told = self.words(best)
        path = None if given is None else given.path
        return Transcript(
            text=best.text,
            words=told,
            confidence=self.confidence.utterance(best, told),
            duration=seconds,
            id="audio" if path is None else path.stem,
            audio=None if path is None else str(path),
            error=None if given is None else given.fault,
        )

    def words(self, best: Hypothesis) -> tuple[Word, ...]:
        """The words of a hypothesis with their times, and calibrated confidences if it has any."""
        found = words(best, self.seconds_per_frame, text_encoder=self.text_encoder)
        return self.confidence.words(found)

    @torch.no_grad()
    def listen(
        self,
        recording: Recording,
        decoders: Sequence[Decoder],
        *,
        max_segment: float = MAX_SEGMENT,
        heard: Callable[[float], None] = nobody,
        examine: Examine = pass_over,
    ) -> dict[str, Hypothesis]:
        """What each decoder makes of a recording of any length, by the decoder's name.

        The arguments are those of :func:`deepspeech2.inference.long.listen`.
        """
        return listen(
            recording,
            self.pipeline,
            decoders,
            space=self.text_encoder.space,
            max_segment=max_segment,
            heard=heard,
            examine=examine,
        )

    def align(self, audio: str | Path, text: str, *, delay: float | None = None) -> Alignment:
        """When each word and character of ``text`` is said in a file.

        Args:
            delay: how much later than the sound the network marks it, in seconds; None measures
                that once, in about a second, with
                :func:`deepspeech2.inference.delay.emission_delay`.

        Raises:
            AudioError: the file cannot be read, or is too short for the text.
            ManifestError: the text holds no word, or a character outside the alphabet.
        """
        waveform = read_audio(audio, sample_rate=self.sample_rate)
        return align(
            self.emissions(waveform).data[0],
            text,
            text_encoder=self.text_encoder,
            seconds_per_frame=self.seconds_per_frame,
            duration=len(waveform) / self.sample_rate,
            delay=self.delay if delay is None else delay,
        )

    @cached_property
    def delay(self) -> float:
        """How much later than the sound the network marks it, in seconds."""
        return emission_delay(
            lambda waveform: self.emissions(waveform).data[0],
            self.text_encoder,
            seconds_per_frame=self.seconds_per_frame,
            sample_rate=self.sample_rate,
        )

    @torch.no_grad()
    def emissions(self, waveform: Tensor) -> Padded:
        """(1, T, V) of a waveform (S,)."""
        return self.pipeline.emissions(Padded.stack([waveform]).to(self.device))

    @property
    def decoders(self) -> Sequence[Decoder]:
        """The baselines of every table, then the chosen decoder if it is another."""
        baselines: list[Decoder] = [GreedyDecoder(self.text_encoder)]
        if isinstance(self.decoder, LanguageModelDecoder):
            baselines.append(BeamSearchDecoder(self.text_encoder))
        return [each for each in baselines if each.name != self.decoder.name] + [self.decoder]
