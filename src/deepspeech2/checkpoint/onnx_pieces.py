"""A model in ONNX that takes a recording piece by piece and hands its state on."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepspeech2.checkpoint.onnx_file import OnnxPipeline, check_ports, run
from deepspeech2.errors import CheckpointError
from deepspeech2.model import DeepSpeech2
from deepspeech2.transforms import FrontEnd
from deepspeech2.types import Padded

INPUTS = ("samples", "last")
OUTPUT = "log_probs"
_PIECES = ("first_samples", "samples")  # of the metadata
_LARGEST = 2**26  # numbers of a state
NEXT = "next_"  # what the names of the state begin with where it comes out


@dataclass(frozen=True, slots=True)
class Pieces:
    """Samples that a piece of a recording must have; the last may have any number.

    Attributes:
        first: at least, in the first piece.
        other: at least, in every other one.
    """

    first: int
    other: int


@dataclass(frozen=True, slots=True)
class OnnxState:
    """What a stream needs from its past.

    Attributes:
        waiting: (S,) samples that are too few for a piece.
        values: of the graph, by name; empty before the first piece.
    """

    waiting: Tensor = field(default_factory=lambda: torch.zeros(0))
    values: Mapping[str, Any] = field(default_factory=dict)


class OnnxStream:
    """Runs a session of ONNX Runtime on a recording, piece by piece.

    Args:
        shapes: of the state before the first sample, by name; it is zero there.
    """

    def __init__(self, session: Any, shapes: Mapping[str, list[int]], pieces: Pieces) -> None:
        self._session = session
        self._pieces = pieces
        kinds = {each.name: each.type for each in session.get_inputs()}
        self._zeros = {
            name: np.zeros(shape, np.int64 if "int64" in kinds[name] else np.float32)
            for name, shape in shapes.items()
        }
        self._n_tokens = session.get_outputs()[0].shape[1]

    @classmethod
    def of(cls, session: Any, told: Any, n_tokens: int, path: Path) -> OnnxStream:
        """The stream that the metadata of ``path`` describe.

        Raises:
            CheckpointError: they describe another graph than it has.
        """
        state = told.get("state") if isinstance(told, Mapping) else None
        pieces: list[Any] = [told.get(k) for k in _PIECES] if isinstance(told, Mapping) else []
        if not isinstance(state, Mapping) or not all(
            type(each) is int and 0 < each < _LARGEST for each in pieces
        ):
            raise CheckpointError(f"{path} is damaged: its metadata describe no stream")
        outputs = (OUTPUT, *(f"{NEXT}{name}" for name in state))
        check_ports(session, (*INPUTS, *state), outputs, path)
        shapes = {each.name: each.shape for each in session.get_inputs()}
        for name, shape in state.items():
            if not _is_shape(shape, shapes[name]):
                raise CheckpointError(
                    f"{path} is damaged: the state {name!r} of its graph is {shapes[name]}, but its"
                    f" metadata say {reprlib.repr(shape)}"
                )
        if session.get_outputs()[0].shape[1:] != [n_tokens]:
            raise CheckpointError(f"{path} is damaged: its graph has another number of tokens")
        return cls(session, state, Pieces(*pieces))

    def start(self) -> OnnxState:
        """The state before the first sample."""
        return OnnxState()

    def step(
        self, state: OnnxState, samples: Tensor, *, last: bool = False
    ) -> tuple[OnnxState, Tensor]:
        """Hear more samples (S,); the next state, and the (T, V) that have become certain."""
        held = torch.cat((state.waiting, samples.float().cpu()))
        needed = self._pieces.other if state.values else self._pieces.first
        if (not last and len(held) < needed) or not (state.values or len(held)):
            return OnnxState(held, state.values), torch.zeros(0, self._n_tokens)
        given = {INPUTS[0]: held.numpy(), INPUTS[1]: np.array([int(last)])}
        names = [OUTPUT, *(f"{NEXT}{name}" for name in self._zeros)]
        log_probs, *after = run(self._session, names, {**given, **(state.values or self._zeros)})
        values = {name: each.numpy() for name, each in zip(self._zeros, after, strict=True)}
        return OnnxState(values=values), log_probs


def _is_shape(shape: Any, declared: list[Any]) -> bool:
    """Whether it is one that the graph has declared, where lengths may be open."""
    return (
        isinstance(shape, list)
        and len(shape) == len(declared)
        and all(type(n) is int and 0 <= n < _LARGEST for n in shape)
        and all(n == there for n, there in zip(shape, declared, strict=True) if type(there) is int)
        and math.prod(shape) < _LARGEST
    )


class OnnxStreamPipeline(OnnxPipeline):
    """A pipeline whose arithmetic is that of a streaming model in ONNX.

    Whole utterances go through it one by one, each as a single piece.
    """

    def __init__(
        self, front_end: FrontEnd, network: DeepSpeech2, session: Any, stream: OnnxStream
    ) -> None:
        super().__init__(front_end, network, session)
        self.stream = stream

    def emissions(self, waveforms: Padded, generator: torch.Generator | None = None) -> Padded:
        """Log-probabilities (B, T, V) of waveforms (B, S); nothing is augmented."""
        found = [
            self.stream.step(self.stream.start(), each, last=True)[1] for each in waveforms.unpad()
        ]
        return Padded.stack(found).to(waveforms.data.device)
