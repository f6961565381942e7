"""Put another program's weights in the places that ours have, each taken once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepspeech2.errors import CheckpointError

EPS = 1e-5  # of every batch normalisation, there and here
_STATISTICS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, slots=True)
class Move:
    """One weight of ours, and where it came from.

    Attributes:
        target: its key here.
        source: its key there; None if it was made.
        shape: of the weight.
        note: what was done to it, if anything.
    """

    target: str
    source: str | None
    shape: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Converted:
    """A network of another program, as ours.

    Attributes:
        kind: which program wrote the checkpoint.
        recipe: of network, features, normalisation, text encoder and decoder.
        weights: of the pipeline, by our keys.
        moves: where each weight came from.
        unused: keys of theirs that have no place here.
        epoch: when it was written, if it contains that.
        config: their settings, for people to read.
        notes: what differs, or was assumed, in a sentence each.
    """

    kind: str
    recipe: dict[str, Any]
    weights: Mapping[str, Tensor]
    moves: list[Move]
    unused: list[str]
    epoch: Any
    config: Any
    notes: list[str]


class Mapper:
    """Takes weights from those given, and remembers what became of each.

    Args:
        given: state dict of the other program; what is no tensor is left out.
        kind: which program it is, for messages.
    """

    def __init__(self, given: Mapping[str, Any], kind: str) -> None:
        self.given = {
            key: value.detach().clone() for key, value in given.items() if isinstance(value, Tensor)
        }
        self.kind = kind
        self.weights: dict[str, Tensor] = {}
        self._moves: list[Move] = []
        self._used: set[str] = set()

    def converted(self, recipe: dict[str, Any], **others: Any) -> Converted:
        """Return the network of what was taken; counters of batches are not listed as unused."""
        unused = [
            key
            for key in self.given
            if key not in self._used and not key.endswith("num_batches_tracked")
        ]
        return Converted(self.kind, recipe, self.weights, self._moves, unused, **others)

    def peek(self, source: str, n_axes: int | None = None) -> Tensor:
        """Return a weight of theirs.

        Raises:
            CheckpointError: there is none of this name, or it has not ``n_axes`` axes.
        """
        if source not in self.given:
            raise CheckpointError(f"it lacks {source!r}, which {self.kind} has")
        value = self.given[source]
        if n_axes is not None and (value.ndim != n_axes or not value.numel()):
            raise CheckpointError(
                f"its {source!r} is {tuple(value.shape)}, but must have {n_axes} axes"
            )
        return value

    def take(self, source: str, target: str, *, less: str | None = None) -> None:
        """Put their ``source`` at our ``target``, ``less`` another weight of theirs."""
        value = self.peek(source).float()
        self._used.add(source)
        if less is not None:
            if self.peek(less).shape != value.shape:
                raise CheckpointError(f"its {source!r} and {less!r} are of different shapes")
            value = value - self.peek(less).float()
            self._used.add(less)
        self._put(target, source, value, f"less {less}" if less else "")

    def make(self, target: str, value: Tensor, note: str) -> None:
        """Put a tensor of our making at ``target``."""
        self._put(target, None, value, note)

    def norm(self, source: str, target: str, *, shift: str | None = None) -> None:
        """Take a batch normalisation; ``shift`` is a bias that is added before it, there.

        Normalising x + b with the mean m is normalising x with the mean m - b.
        """
        for name in _STATISTICS:
            less = shift if name == "running_mean" else None
            self.take(f"{source}.{name}", f"{target}.{name}", less=less)

    def no_norm(self, target: str, size: int) -> None:
        """Make a batch normalisation that changes nothing, where they have none."""
        note = "changes nothing: there is no normalisation there"
        for name, value in zip(_STATISTICS, (1.0, 0.0, 0.0, 1.0 - EPS), strict=True):
            self.make(f"{target}.{name}", torch.full((size,), value), note)

    def recurrence(self, source: str, target: str, *, bidirectional: bool) -> None:
        """Take a layer of ``nn.GRU``, ``nn.LSTM`` or ``nn.RNN``: our directions are two modules."""
        for suffix, direction in (("", "ahead"), ("_reverse", "back"))[: 1 + bidirectional]:
            for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
                self.take(f"{source}.{name}{suffix}", f"{target}.{direction}.{name}")

    def _put(self, target: str, source: str | None, value: Tensor, note: str) -> None:
        self.weights[target] = value
        self._moves.append(Move(target, source, tuple(value.shape), note))


def indices(keys: Mapping[str, Any], prefix: str) -> Sequence[int]:
    """Return the numbers that follow ``prefix`` in the keys, each once, in order."""
    found = {
        int(number)
        for key in keys
        if key.startswith(prefix) and (number := key[len(prefix) :].split(".")[0]).isdigit()
    }
    return sorted(found)
