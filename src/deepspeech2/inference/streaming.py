"""Recognition of a stream while somebody speaks."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deepspeech2.checkpoint.onnx_file import OnnxPipeline, OnnxStream, OnnxStreamPipeline
from deepspeech2.decoding import Decoder, GreedyDecoder, Word
from deepspeech2.decoding.decoder import text_of
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.inference.long import decode_parts
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.model.streaming_network import NetworkState, StreamingNetwork
from deepspeech2.settings.recognition import MAX_SEGMENT
from deepspeech2.text import Tokenizer
from deepspeech2.transcripts import Transcript
from deepspeech2.transforms.streaming_front_end import FeatureState, StreamingFrontEnd
from deepspeech2.types import Hypothesis, Padded

Piece = TypeVar("Piece")


def appended(
    pieces: tuple[Piece, ...],
    piece: Piece,
    size: Callable[[Piece], int],
    join: Callable[[Sequence[Piece]], Piece],
) -> tuple[Piece, ...]:
    """Append to ``pieces`` and join the last ones, so that each is larger than the next.

    However many are appended, the number of pieces, and how often each part of one has been
    copied, grow with the logarithm of that.
    """
    result = [*pieces, piece]
    while len(result) > 1 and size(result[-2]) <= size(result[-1]):
        result[-2:] = [join(result[-2:])]
    return tuple(result)


@dataclass(frozen=True, slots=True)
class BestPath:
    """The most likely token of each frame, without repetitions and blanks.

    Attributes:
        pieces: hypotheses whose labels follow each other; their texts keep all spaces.
        previous: token of the last frame.
        n_frames: frames so far.
    """

    pieces: tuple[Hypothesis, ...] = ()
    previous: int = 0
    n_frames: int = 0

    @property
    def text(self) -> str:
        text = unicodedata.normalize("NFC", "".join(piece.text for piece in self.pieces))
        return " ".join(text.split())

    def extended(self, log_probs: Tensor, encoder: Tokenizer) -> BestPath:
        """Return the path after (T, V) more log-probabilities."""
        [[best]] = GreedyDecoder(encoder)(Padded.stack([log_probs]))
        # the first label is none if its token goes on from the last frame
        goes_on = best.frames[:1] == (0,) and best.labels[0] == self.previous
        new = slice(int(goes_on), None)
        piece = Hypothesis(
            text=encoder.joined(best.labels[new]),
            score=best.score,
            labels=best.labels[new],
            frames=tuple(self.n_frames + frame for frame in best.frames[new]),
            confidences=best.confidences[new],
        )
        pieces = appended(self.pieces, piece, lambda each: len(each.labels), _joined)
        return BestPath(pieces, int(log_probs[-1].argmax()), self.n_frames + len(log_probs))

    def hypothesis(self, encoder: Tokenizer, first: int = 0) -> Hypothesis:
        """Return the labels of the frames from ``first`` on."""
        chosen = [piece for piece in self.pieces if piece.frames and piece.frames[-1] >= first]
        whole = _joined(chosen)
        start = bisect_left(whole.frames, first)
        return Hypothesis(
            text=text_of(whole.labels[start:], encoder),
            score=whole.score,
            labels=whole.labels[start:],
            frames=whole.frames[start:],
            confidences=whole.confidences[start:],
        )


def _joined(pieces: Sequence[Hypothesis]) -> Hypothesis:
    return Hypothesis(
        text="".join(piece.text for piece in pieces),
        score=sum(piece.score for piece in pieces),
        labels=tuple(chain.from_iterable(piece.labels for piece in pieces)),
        frames=tuple(chain.from_iterable(piece.frames for piece in pieces)),
        confidences=tuple(chain.from_iterable(piece.confidences for piece in pieces)),
    )


class _Stream:
    """Features and network, piece by piece; the counterpart of ``OnnxStream``."""

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
        frames = frames.to(self._network.device)  # the features may be on the CPU beside it
        network, log_probs = self._network.step(state[1], frames, last=last)
        return (features, network), log_probs


@dataclass(frozen=True, slots=True)
class StreamState:
    """The whole state of a stream: a value that can be copied, stored and continued.

    Attributes:
        model: what features and network need from the past.
        emissions: (T, V) log-probabilities of the frames so far, in pieces.
        best: the best path of these frames.
        n_samples: samples so far.
        finished: whether nothing can follow.
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
        """The best path so far, which later chunks only extend."""
        return self.best.text


class StreamingRecognizer:
    """Recognise a stream in chunks of any size, then transcribe the whole recording.

    The best path grows while somebody speaks, and nothing in it ever changes. The checkpoint's
    decoder, which needs the end, makes the transcript when the stream is finished.

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
        decoder: Callable[[Tokenizer], Decoder] | None = None,
        options: Mapping[str, Any] | None = None,
        plugins: Sequence[str] = (),
    ) -> StreamingRecognizer:
        """Load a checkpoint; see :meth:`Recognizer.from_checkpoint`."""
        return cls(
            Recognizer.from_checkpoint(
                path, device=device, decoder=decoder, options=options, plugins=plugins
            )
        )

    @property
    def sample_rate(self) -> int:
        return self.recognizer.sample_rate

    @property
    def latency(self) -> float:
        """Seconds between a sound and the frames that it decides, without the computing time.

        Half a window of the spectrum, what the convolutions and the lookahead reach forward, and
        the wait for a whole frame.
        """
        front_end = self.recognizer.pipeline.front_end
        reach = self._front_end.latency / front_end.sample_rate
        waits = self._network.latency * front_end.seconds_per_frame
        return reach + waits + self.recognizer.seconds_per_frame

    def start(self) -> StreamState:
        """Return the state before the first sample."""
        return StreamState(self._stream.start())

    def hear(
        self, state: StreamState, samples: npt.NDArray[np.floating[Any]] | Tensor
    ) -> StreamState:
        """Return the state after more samples (S,) in [-1, 1] at the model's rate, or after none.

        Raises:
            AudioError: they are not one channel of finite numbers, or the stream is finished.
        """
        chunk = torch.as_tensor(samples)
        if chunk.ndim != 1 or not chunk.dtype.is_floating_point:
            raise AudioError(
                f"samples must be floats (S,), but are {chunk.dtype} {tuple(chunk.shape)}"
            )
        if not chunk.isfinite().all():
            raise AudioError("samples must be finite, but are not")
        return self._advance(state, chunk.float().clamp(-1.0, 1.0), last=False)

    def finish(self, state: StreamState) -> Transcript:
        """Transcribe the whole stream; ``state`` itself does not change.

        Raises:
            AudioError: the stream is finished, or has no sample.
        """
        if not state.n_samples and not state.finished:
            raise AudioError("the stream must have at least one sample, but has none")
        ended = self._advance(state, torch.zeros(0), last=True)
        return self.recognizer.transcript(self._decoded(ended), ended.n_samples / self.sample_rate)

    def words(self, state: StreamState, *, start: float = 0.0) -> tuple[Word, ...]:
        """Return the best path so far in words; the last one may still grow.

        Args:
            start: seconds; words that begin earlier are left out.
        """
        first = round(start / self.recognizer.seconds_per_frame)
        return self._greedy.words(state.best.hypothesis(self.recognizer.text_encoder, first))

    def emissions(self, state: StreamState) -> Tensor:
        """Return (T, V) log-probabilities to the end of the stream, as if nothing followed."""
        return torch.cat(self._advance(state, torch.zeros(0), last=True).emissions)

    def _decoded(self, state: StreamState) -> Hypothesis:
        """Decode as for a whole recording: at once, or in parts if it is long."""
        log_probs = torch.cat(state.emissions)
        decoder = self.recognizer.decoder
        if state.n_samples <= MAX_SEGMENT * self.sample_rate:
            return decoder(Padded.stack([log_probs]))[0][0]
        encoder = self.recognizer.text_encoder
        a_second = 1 / self.recognizer.seconds_per_frame
        return decode_parts(log_probs, [decoder], encoder, a_second).joined()[decoder.name]

    def _advance(self, state: StreamState, samples: Tensor, *, last: bool) -> StreamState:
        if state.finished:
            raise AudioError("the stream is finished: start another")
        model, log_probs = self._stream.step(state.model, samples, last=last)
        n_samples = state.n_samples + len(samples)
        state = replace(state, model=model, n_samples=n_samples, finished=last)
        if not len(log_probs):
            return state
        log_probs = log_probs.cpu()
        return replace(
            state,
            emissions=appended(state.emissions, log_probs, len, lambda two: torch.cat([*two])),
            best=state.best.extended(log_probs, self.recognizer.text_encoder),
        )
