"""A trained model, ready to listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from src import checkpoint
from src.audio.reading import read_audio
from src.datasets.loader import SpeechLoader
from src.decoding import (
    BeamSearchDecoder,
    Decoder,
    FlashlightDecoder,
    GreedyDecoder,
    LanguageModelDecoder,
)
from src.engine import pick_device
from src.evaluation import Evaluation, Recognized, evaluate
from src.paths import resolve
from src.pipeline import Pipeline
from src.text import TextEncoder
from src.types import Hypothesis, Padded


class Recognizer:
    """Pipeline, alphabet and decoder of a checkpoint, on a device.

    >>> recognizer = Recognizer.from_checkpoint("saved/demo/model_best.pth")  # doctest: +SKIP
    >>> recognizer.transcribe("a.wav").text  # doctest: +SKIP
    """

    def __init__(
        self,
        pipeline: Pipeline,
        text_encoder: TextEncoder,
        decoder: Decoder,
        device: torch.device,
    ) -> None:
        self.pipeline = pipeline.to(device).eval()
        self.text_encoder = text_encoder
        self.decoder = decoder
        self.device = device

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
        restored = checkpoint.restore(
            checkpoint.load(place), place, decoder=decoder, options=options
        )
        return cls(restored.pipeline, restored.text_encoder, restored.decoder, pick_device(device))

    @property
    def sample_rate(self) -> int:
        return self.pipeline.front_end.sample_rate

    @property
    def seconds_per_frame(self) -> float:
        """Seconds between two output frames."""
        return self.pipeline.seconds_per_frame

    @torch.no_grad()
    def transcribe(self, audio: str | Path) -> Hypothesis:
        """The best hypothesis for one file of any rate and number of channels.

        Raises:
            AudioError: it cannot be read.
        """
        waveform = read_audio(audio, sample_rate=self.sample_rate)
        log_probs = self.pipeline.emissions(Padded.stack([waveform]).to(self.device))
        return self.decoder(log_probs)[0][0]

    def run(
        self, loader: SpeechLoader, on_result: Callable[[Recognized], None], *, title: str
    ) -> Evaluation:
        """Recognise a whole loader; results go to ``on_result`` one by one."""
        return evaluate(
            self.pipeline,
            loader,
            self.decoders,
            self.text_encoder,
            self.device,
            title=title,
            on_result=on_result,
            budget=True,
        )

    @property
    def decoders(self) -> Sequence[Decoder]:
        """The baselines of every table, then the chosen decoder if it is another."""
        baselines: list[Decoder] = [GreedyDecoder(self.text_encoder)]
        if isinstance(self.decoder, LanguageModelDecoder | FlashlightDecoder):
            baselines.append(BeamSearchDecoder(self.text_encoder))
        return [each for each in baselines if each.name != self.decoder.name] + [self.decoder]
