"""What the program needs of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from deepspeech2.types import Padded


class AcousticModel(nn.Module, ABC):
    """The base of networks: map features to log-probabilities of tokens.

    A subclass takes ``n_features`` and ``n_tokens`` first, which the program knows, and then the
    keys of the config group ``model``, as plain values. It implements :meth:`forward`. Its results
    must not depend on what is in the padding, or on the other utterances of a batch.

    Args:
        n_features: F, features of a frame.
        n_tokens: V, tokens with the blank, which is token 0.
        time_stride: input frames of an output frame.

    Attributes:
        intermediate: layers whose output :meth:`forward` taps in training; none by default.
    """

    intermediate: Sequence[int] = ()

    def __init__(self, n_features: int, n_tokens: int, time_stride: int = 1) -> None:
        super().__init__()
        self.n_features = n_features
        self.n_tokens = n_tokens
        self.time_stride = time_stride

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return the output frames (B,) of ``lengths`` input frames (B,): one for each stride."""
        return -(-lengths // self.time_stride)

    @abstractmethod
    def forward(self, features: Padded) -> Padded:
        """Map features (B, T, F) to log-probabilities (B, T', V) float32 with their lengths.

        In training a network with :attr:`intermediate` layers returns a
        :class:`~deepspeech2.types.Tapped`, which has the log-probabilities of these layers, too.
        """
