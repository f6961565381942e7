"""The prior: how often a network emits each token, and its output divided by that.

A network that learnt to transcribe expects frequent letters, and a language model expects them
again. Posteriors divided by the prior are likelihoods up to a factor, which a language model is to
be multiplied with (H. Bourlard and N. Morgan, Connectionist speech
recognition, 1994, chapter 7; for CTC Y. Miao et al., EESEN, 2015, arXiv:1507.08240, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from deepspeech2.errors import ConfigError
from deepspeech2.types import Padded


class TokenPrior:
    """Probabilities of the tokens, and the power by which emissions are divided by them.

    Args:
        probabilities: (V,) of the blank and the labels; None: not measured.
        weight: that power; 0 leaves emissions as they are.
        n_tokens: V.

    Raises:
        ConfigError: the weight is negative or has no probabilities, or they are not those of
            the alphabet.
    """

    def __init__(self, probabilities: Sequence[float] | None, weight: float, n_tokens: int) -> None:
        if not 0 <= weight < math.inf:
            raise ConfigError(f"decoder.prior_weight must be 0 or more, but is {weight}")
        if probabilities is None and weight:
            raise ConfigError(
                f"decoder.prior_weight={weight} needs decoder.prior, how often the network emits"
                " each token: deepspeech2 tune measures it and writes both into the"
                " checkpoint, which decoder=checkpoint decodes with"
            )
        if probabilities is not None and (
            len(probabilities) != n_tokens or not all(0 < each <= 1 for each in probabilities)
        ):
            raise ConfigError(
                f"decoder.prior must be {n_tokens} probabilities above 0, of the blank and of the"
                f" {n_tokens - 1} other tokens, but is {list(probabilities)}"
            )
        self.probabilities = None if probabilities is None else [float(p) for p in probabilities]
        self.weight = float(weight)

    def off(self, log_probs: Padded) -> Padded:
        """(B, T, V) log-posteriors less ``weight`` ln prior, normalised anew in each frame.

        The normalisation adds the same to all hypotheses.
        """
        if not self.weight:
            return log_probs
        data = log_probs.data
        data = data if data.dtype in (torch.float32, torch.float64) else data.float()
        prior = torch.tensor(self.probabilities, dtype=data.dtype, device=data.device)
        return Padded((data - self.weight * prior.log()).log_softmax(-1), log_probs.lengths)


def measured_prior(log_probs: Iterable[Tensor]) -> list[float]:
    """Return the (V,) mean posterior over the frames of (T_i, V) log-probabilities.

    One more frame for each token keeps those above 0 that are never emitted.
    """
    frames = torch.cat(list(log_probs)).double().exp()
    smoothed = (frames.sum(0) + 1) / (len(frames) + frames.shape[1])
    return [float(f"{each:.6g}") for each in smoothed.tolist()]
