"""What an importer makes of another program's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from deepspeech2.extras.interchange.mapping import Move


@dataclass(frozen=True, slots=True)
class Converted:
    """A network of another program, as ours.

    Attributes:
        kind: whose checkpoint it was.
        recipe: of network, features, normalisation, text encoder and decoder.
        weights: of the pipeline, by our keys.
        moves: where each came from.
        unused: keys of theirs that have no place here.
        epoch: when it was written, if it says so.
        config: their settings, for people to read.
        notes: what differs, or was assumed, in a sentence each.
    """

    kind: str
    recipe: dict[str, Any]
    weights: Mapping[str, Tensor]
    moves: list[Move]
    unused: list[str]
    epoch: int | None = None
    config: Any = None
    notes: list[str] = field(default_factory=list)
