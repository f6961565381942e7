"""A model in ONNX that takes a recording piece by piece and hands its state on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.checkpoint.onnx_file import OnnxPipeline
from src.model import DeepSpeech2
from src.transforms import FrontEnd
from src.types import Padded

INPUTS = ("samples", "last")
OUTPUT = "log_probs"
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
        log_probs, *after = self._session.run(names, {**given, **(state.values or self._zeros)})
        values = dict(zip(self._zeros, after, strict=True))
        return OnnxState(values=values), torch.from_numpy(log_probs)


class OnnxStreamPipeline(OnnxPipeline):
    """A pipeline whose arithmetic is that of a streaming model in ONNX.

    Whole utterances go through it one by one, each as a single piece.
    """

    def __init__(
        self, front_end: FrontEnd, network: DeepSpeech2, session: Any, told: Mapping[str, Any]
    ) -> None:
        super().__init__(front_end, network, session)
        pieces = Pieces(told["first_samples"], told["samples"])
        self.stream = OnnxStream(session, told["state"], pieces)

    def emissions(self, waveforms: Padded, generator: torch.Generator | None = None) -> Padded:
        """Log-probabilities (B, T, V) of waveforms (B, S); nothing is augmented."""
        found = [
            self.stream.step(self.stream.start(), each, last=True)[1] for each in waveforms.unpad()
        ]
        return Padded.stack(found).to(waveforms.data.device)
