"""A trained model that transcribes recordings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deepspeech2 import checkpoint
from deepspeech2.audio.reading import read_audio
from deepspeech2.audio.silence import Levels, cut
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
from deepspeech2.devices import pick_device
from deepspeech2.inference.audio_input import Audio, AudioInput
from deepspeech2.inference.calibration import Confidence, RawConfidence, restored
from deepspeech2.inference.delay import emission_delay
from deepspeech2.inference.long import (
    PIECE,
    TOGETHER,
    DecodedParts,
    decode_parts,
    long_emissions,
    no_progress,
)
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline
from deepspeech2.plugins import load as load_plugins
from deepspeech2.settings.recognition import MAX_SEGMENT
from deepspeech2.text import Tokenizer
from deepspeech2.transcripts import Transcript
from deepspeech2.types import Hypothesis, Padded


class Recognizer:
    """Transcribe recordings with the network, alphabet and decoder of a checkpoint.

    Attributes:
        origin: SHA-256 of the checkpoint's file; None without one.
        confidence: makes the confidences of ``decoder``.
        confidence_greedy: makes those of the best path.

    >>> from deepspeech2 import Recognizer
    >>> recognizer = Recognizer.from_checkpoint("models/english.pth")  # doctest: +SKIP
    >>> print(recognizer.transcribe("speech.wav").text)  # doctest: +SKIP
    """

    def __init__(
        self,
        pipeline: Pipeline,
        text_encoder: Tokenizer,
        decoder: Decoder,
        device: torch.device,
        origin: str | None = None,
        confidence: Confidence | None = None,
        confidence_greedy: Confidence | None = None,
    ) -> None:
        self.pipeline = pipeline.place(device).eval()
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
        decoder: Callable[[Tokenizer], Decoder] | None = None,
        options: Mapping[str, Any] | None = None,
        plugins: Sequence[str] = (),
    ) -> Recognizer:
        """Load a checkpoint.

        Args:
            path: relative to the repository's root, or absolute.
            device: auto, cpu, cuda, cuda:N or mps.
            decoder: makes a decoder for the checkpoint's alphabet; None takes the checkpoint's.
            options: replace those of the checkpoint's decoder.
            plugins: modules with parts of one's own that the checkpoint may name.

        Raises:
            CheckpointError: the file is not a checkpoint.
            SpeechError: the decoder cannot be made, as without its language model.
            ConfigError: the device does not exist.
        """
        load_plugins(plugins)
        place = resolve(path)
        content = checkpoint.load(place)
        model = checkpoint.restore(content, place, decoder=decoder, options=options)
        return cls(
            model.pipeline,
            model.text_encoder,
            model.decoder,
            pick_device(device),
            hashlib.sha256(place.read_bytes()).hexdigest(),
            restored(content, place, model.decoder),
            restored(content, place, GreedyDecoder(model.text_encoder)),
        )

    def greedy(self) -> Recognizer:
        """Return one with the same network that decodes greedily, with confidences for that."""
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
        """The checkpoint and the decoder, on which transcripts depend, as plain values."""
        settings = {k: v for k, v in self.decoder.settings.items() if k != "threads"}
        if not settings.get("prior_weight"):  # without effect, and absent from older decoders
            settings.pop("prior", None)
            settings.pop("prior_weight", None)
        made = {"checkpoint": self.origin, "decoder": self.decoder.name, "settings": settings}
        if isinstance(self.decoder, LanguageModelDecoder):  # its file may have been replaced
            made["language_model"] = self.decoder.fused.digest
        return dict(json.loads(json.dumps(made, default=str)))

    @overload
    def transcribe(
        self,
        audio: Audio,
        *,
        sample_rate: int | None = None,
        max_segment: float = MAX_SEGMENT,
        on_progress: Callable[[float], None] = no_progress,
    ) -> Transcript: ...
    @overload
    def transcribe(
        self,
        audio: list[Any],
        *,
        sample_rate: int | None = None,
        max_segment: float = MAX_SEGMENT,
        on_progress: Callable[[float], None] = no_progress,
    ) -> list[Transcript]: ...
    @torch.no_grad()
    def transcribe(
        self,
        audio: Audio | list[Any],
        *,
        sample_rate: int | None = None,
        max_segment: float = MAX_SEGMENT,
        on_progress: Callable[[float], None] = no_progress,
    ) -> Transcript | list[Transcript]:
        """Transcribe a recording, or each of several, the short ones in batches.

        Args:
            audio: a file of any length, rate and number of channels, or samples (S,) in [-1, 1].
            sample_rate: of samples, in Hz; None: the model's own.
            max_segment: seconds; longer recordings are cut where they are quiet.
            on_progress: called with the seconds of each batch of a longer recording, after the
                network has processed it; an exception that it raises ends the work.

        Raises:
            AudioError: nothing of a file can be read, or samples are none, not one channel or
                not finite.
        """
        if not isinstance(audio, list):
            return self.transcribe(
                [audio], sample_rate=sample_rate, max_segment=max_segment, on_progress=on_progress
            )[0]
        inputs = [AudioInput(item, sample_rate, self.sample_rate) for item in audio]
        transcripts: dict[int, Transcript] = {}
        short: list[int] = []
        # long recordings one by one, in pieces
        for index, each in enumerate(inputs):
            if each.seconds <= max_segment:
                short.append(index)
                continue
            parts = self.listen(
                each.blocks, [self.decoder], max_segment=max_segment, on_progress=on_progress
            )
            best = parts.joined()[self.decoder.name]
            transcripts[index] = self.transcript(best, each.seconds, each)
        # the others in batches of similar lengths
        limits: dict[str, Any] = {"max_batch_duration": TOGETHER, "shuffle": False}
        for batch in plan_epoch([inputs[i].seconds for i in short], seed=0, epoch=0, **limits):
            indices = [short[number] for number in batch]
            waveforms = [inputs[index].waveform() for index in indices]
            log_probs = self.pipeline.emissions(Padded.stack(waveforms).to(self.pipeline.device))
            for index, samples, nbest in zip(
                indices, waveforms, self.decoder(log_probs), strict=True
            ):
                seconds = len(samples) / self.sample_rate
                transcripts[index] = self.transcript(nbest[0], seconds, inputs[index])
        return [transcripts[index] for index in range(len(inputs))]

    def transcript(
        self, best: Hypothesis, seconds: float, source: AudioInput | None = None
    ) -> Transcript:
        """Make the transcript of a recording that lasts ``seconds`` from its best hypothesis."""
        timed = self.words(best)
        path = None if source is None else source.path
        return Transcript(
            text=best.text,
            words=timed,
            confidence=self.confidence.utterance(best, timed),
            duration=seconds,
            id="audio" if path is None else path.stem,
            audio=None if path is None else str(path),
            error=None if source is None else source.fault,
        )

    def words(self, best: Hypothesis) -> tuple[Word, ...]:
        """Return the words of a hypothesis with times and confidences, calibrated if possible."""
        return self.confidence.words(
            words(best, self.seconds_per_frame, text_encoder=self.text_encoder)
        )

    @torch.no_grad()
    def listen(
        self,
        recording: Callable[[], Iterable[npt.NDArray[np.float32]]],
        decoders: Sequence[Decoder],
        *,
        max_segment: float = MAX_SEGMENT,
        on_progress: Callable[[float], None] = no_progress,
    ) -> DecodedParts:
        """Decode a recording of any length with each of ``decoders``.

        Args:
            recording: gives the samples from the start, in blocks (S,); called twice.
            max_segment: seconds that the network gets at once, at most; never more than ``PIECE``.
            on_progress: called with the seconds of each batch after the network.

        Raises:
            AudioError: it cannot be read.
        """
        log_probs, levels = self.long_emissions(
            recording, max_segment=max_segment, on_progress=on_progress
        )
        frames_per_second = levels.sample_rate / levels.step
        return decode_parts(log_probs, decoders, self.text_encoder, frames_per_second)

    @torch.no_grad()
    def long_emissions(
        self,
        recording: Callable[[], Iterable[npt.NDArray[np.float32]]],
        *,
        max_segment: float = PIECE,
        on_progress: Callable[[float], None] = no_progress,
    ) -> tuple[Tensor, Levels]:
        """Return the log-probabilities (T, V) of a recording of any length, and its levels.

        Step i of the levels begins at the middle of frame i. The arguments are those of
        :meth:`listen`.

        Raises:
            AudioError: it cannot be read.
        """
        rate = self.sample_rate
        levels = Levels(rate, round(self.seconds_per_frame * rate))
        log_probs = long_emissions(
            recording(),
            cut(recording(), levels, min(max_segment, PIECE)),
            lambda waveforms: self.pipeline.emissions(waveforms.to(self.pipeline.device)),
            sample_rate=rate,
            step=levels.step,
            on_progress=on_progress,
        )
        return log_probs, levels

    def align(self, audio: str | Path, text: str, *, delay: float | None = None) -> Alignment:
        """Find when each word and character of ``text`` is said in a file.

        Args:
            delay: how much later than the sound the network marks it, in seconds; None measures
                it once, in about a second; see :mod:`deepspeech2.inference.delay`.

        Raises:
            AudioError: the file cannot be read, or is too short for the text.
            ManifestError: the text has no word, or a character outside the alphabet.
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
        """Return the log-probabilities (1, T, V) of a waveform (S,)."""
        return self.pipeline.emissions(Padded.stack([waveform]).to(self.pipeline.device))

    @property
    def decoders(self) -> Sequence[Decoder]:
        """The baselines of every table, then the chosen decoder if it is another."""
        baselines: list[Decoder] = [GreedyDecoder(self.text_encoder)]
        if isinstance(self.decoder, LanguageModelDecoder):
            baselines.append(BeamSearchDecoder(self.text_encoder))
        return [each for each in baselines if each.name != self.decoder.name] + [self.decoder]
