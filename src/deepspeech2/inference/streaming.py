"""Recognition while somebody speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deepspeech2.checkpoint.onnx_file import OnnxPipeline
from deepspeech2.checkpoint.onnx_pieces import OnnxStream, OnnxStreamPipeline
from deepspeech2.decoding import Decoder, Word
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.inference.best_path import BestPath, appended
from deepspeech2.inference.long import MAX_SEGMENT, decoded
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.model.streaming_network import NetworkState, StreamingNetwork
from deepspeech2.text import TextEncoder
from deepspeech2.transcripts import Transcript
from deepspeech2.transforms.streaming_front_end import FeatureState, StreamingFrontEnd
from deepspeech2.types import Hypothesis, Padded


class _Stream:
    """Features and network, piece by piece; as
    :class:`deepspeech2.checkpoint.onnx_pieces.OnnxStream`.
    """

    def __init__(self, front_end: StreamingFrontEnd, network: StreamingNetwork) -> None:
        self._front_end = front_end
        self._network = network

    def start(self) -> tuple[FeatureState, NetworkState]:
        n_features = self._front_end.front_end.n_features
        return self._front_end.start(), self._network.start(n_features)

    def step(
        self, state: tuple[FeatureState, NetworkState], samples: Tensor, *, last: bool = False
    ) -> tuple[tuple[FeatureState, NetworkState], Tensor]:
        features, frames = self._front_end.step(state[0], samples, last=last)
        network, log_probs = self._network.step(state[1], frames, last=last)
        return (features, network), log_probs


@dataclass(frozen=True, slots=True)
class StreamState:
    """All that a stream is: a value that can be copied, put aside and taken up again.

    Attributes:
        model: what features and network need from the past.
        emissions: (T, V) log-probabilities of the frames so far, in pieces.
        best: the best path of these frames.
        n_samples: that were heard.
        finished: nothing can come after it.
    """

    model: Any
    emissions: tuple[Tensor, ...] = ()
    best: BestPath = field(default_factory=BestPath)
    n_samples: int = 0
    finished: bool = False

    @property
    def n_frames(self) -> int:
        return sum(map(len, self.emissions))

    @property
    def text(self) -> str:
        """The best path so far, in which nothing changes any more."""
        return self.best.text


class StreamingRecognizer:
    """Hears a stream in chunks of any size, and gives the transcript of the whole recording.

    The best path grows while somebody speaks, and nothing in it is ever taken back. The
    checkpoint's decoder, which needs the end, gives the transcript when the stream is finished.

    >>> recognizer = StreamingRecognizer.from_checkpoint("model_best.pth")  # doctest: +SKIP
    >>> state = recognizer.start()  # doctest: +SKIP
    >>> for chunk in chunks:  # doctest: +SKIP
    ...     state = recognizer.hear(state, chunk)
    ...     print(state.text)
    >>> recognizer.finish(state).text  # doctest: +SKIP

    Raises:
        ConfigError: the model needs the end of an utterance before it knows its beginning, or is
            in ONNX for whole utterances.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        pipeline = recognizer.pipeline
        self.recognizer = recognizer
        self._greedy = recognizer.greedy()
        self._front_end = StreamingFrontEnd(pipeline.front_end)
        self._network = StreamingNetwork(pipeline.network)
        self._stream: _Stream | OnnxStream = _Stream(self._front_end, self._network)
        if isinstance(pipeline, OnnxStreamPipeline):
            self._stream = pipeline.stream
        elif isinstance(pipeline, OnnxPipeline):
            raise ConfigError(
                "the model in ONNX takes whole utterances and cannot stream: export it with"
                " --streaming, or use the checkpoint that it was exported from"
            )

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        decoder: Callable[[TextEncoder], Decoder] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> StreamingRecognizer:
        """Read a checkpoint; see :meth:`Recognizer.from_checkpoint`."""
        return cls(
            Recognizer.from_checkpoint(path, device=device, decoder=decoder, options=options)
        )

    @property
    def sample_rate(self) -> int:
        return self.recognizer.sample_rate

    @property
    def latency(self) -> float:
        """Seconds between a sound and the frames that it decides, computing left aside.

        Half a window of the spectrum, what the convolutions and the lookahead reach forward, and
        the wait for a whole frame.
        """
        front_end = self.recognizer.pipeline.front_end
        reach = self._front_end.latency / front_end.sample_rate
        waits = self._network.latency * front_end.seconds_per_frame
        return reach + waits + self.recognizer.seconds_per_frame

    def start(self) -> StreamState:
        """The state before the first sample."""
        return StreamState(self._stream.start())

    def hear(
        self, state: StreamState, samples: npt.NDArray[np.floating[Any]] | Tensor
    ) -> StreamState:
        """The state after more samples (S,) in [-1, 1], at the model's rate; none do no harm.

        Raises:
            AudioError: they are not one channel of finite numbers, or the stream is finished.
        """
        given = torch.as_tensor(samples)
        if given.ndim != 1 or not given.dtype.is_floating_point:
            raise AudioError(
                f"samples must be floats (S,), but are {given.dtype} {tuple(given.shape)}"
            )
        if not given.isfinite().all():
            raise AudioError("samples must be finite, but are not")
        return self._advance(state, given.float().clamp(-1.0, 1.0), last=False)

    def finish(self, state: StreamState) -> Transcript:
        """What was said in the whole stream; ``state`` stays as it is.

        Raises:
            AudioError: the stream is finished, or no sample was heard.
        """
        if not state.n_samples and not state.finished:
            raise AudioError("the stream must have at least one sample, but has none")
        ended = self._advance(state, torch.zeros(0), last=True)
        return self.recognizer.transcript(self._decoded(ended), ended.n_samples / self.sample_rate)

    def words(self, state: StreamState, *, start: float = 0.0) -> tuple[Word, ...]:
        """The best path so far in words; the last one may still grow.

        Args:
            start: seconds; words that begin earlier are left out.
        """
        first = round(start / self.recognizer.seconds_per_frame)
        return self._greedy.words(state.best.hypothesis(first))

    def emissions(self, state: StreamState) -> Tensor:
        """(T, V) log-probabilities up to the end of the stream, as if nothing came after it."""
        return torch.cat(self._advance(state, torch.zeros(0), last=True).emissions)

    def _decoded(self, state: StreamState) -> Hypothesis:
        """As the whole recording is decoded: in one, or in parts where it is long."""
        log_probs = torch.cat(state.emissions)
        decoder = self.recognizer.decoder
        if state.n_samples <= MAX_SEGMENT * self.sample_rate:
            return decoder(Padded.stack([log_probs]))[0][0]
        space = self.recognizer.text_encoder.space
        a_second = 1 / self.recognizer.seconds_per_frame
        return decoded(log_probs, [decoder], space, a_second)[decoder.name]

    def _advance(self, state: StreamState, samples: Tensor, *, last: bool) -> StreamState:
        if state.finished:
            raise AudioError("the stream is finished: start another")
        model, log_probs = self._stream.step(state.model, samples, last=last)
        state = replace(
            state,
            model=model,
            n_samples=state.n_samples + len(samples),
            finished=last,
        )
        if not len(log_probs):
            return state
        log_probs = log_probs.cpu()
        encoder = self.recognizer.text_encoder
        return replace(
            state,
            emissions=appended(state.emissions, log_probs, len, lambda two: torch.cat([*two])),
            best=state.best.extended(log_probs, encoder),
        )
