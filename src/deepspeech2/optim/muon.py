"""Muon: steps of equal size in all directions of a weight matrix."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2.errors import ConfigError

# Five rounds of this odd polynomial bring singular values from 0.01 to 1 to about 0.7 to 1.2.
_COEFFICIENTS = 3.4445, -4.7750, 2.0315
_ROUNDS = 5
_GATES = 3


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for matrices, AdamW for all else.

    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024: the
    momentum of a matrix is replaced by the nearest orthogonal matrix, found by the iteration of
    Newton and Schulz, so that rare directions are learnt as fast as common ones. Scaled by
    0.2 sqrt(max(rows, columns)), as in J. Liu et al., "Muon is scalable for LLM training", 2025,
    section 2.2, its steps are as large as AdamW's and share its learning rate and weight decay.
    ``torch.optim.Muon`` differs in three points: it takes nothing but matrices, it computes in
    bfloat16, which many processors have not, and it takes the gates of a recurrent layer, which
    PyTorch stacks in one matrix, as one; here each gate has a step of its own.

    Args:
        params: what to learn. Matrices with both sides of at least ``smallest`` are
            orthogonalised; convolutions, biases, scales and narrow matrices go to AdamW.
        lr: learning rate of both.
        weight_decay: decoupled, of both.
        momentum: of the orthogonalised matrices, Nesterov's.
        betas, eps: of AdamW.
        gates: a matrix is split into this number of matrices if its rows are a multiple of it and
            each has at least ``smallest``.
        smallest: see ``params``.
        fused: decide on the device whether a step is left out because its gradient is not finite.

    Raises:
        ConfigError: ``momentum`` or ``smallest`` is out of range.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        gates: int = _GATES,
        smallest: int = 32,
        fused: bool = False,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ConfigError(f"momentum must be at least 0 and below 1, but is {momentum}")
        if smallest < 1 or gates < 1:
            raise ConfigError(f"gates and smallest must be at least 1, but are {gates}, {smallest}")
        parameters = list(params)
        self._adamw = torch.optim.AdamW(
            parameters, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps, fused=fused or None
        )
        own = {"momentum": momentum, "gates": gates, "smallest": smallest, "matrices": False}
        matrices = [p for p in parameters if p.ndim == 2 and min(p.shape) >= smallest]
        chosen = set(matrices)
        others = [p for p in parameters if p not in chosen]
        # both also where one is empty: a resumed run that learns more has as many
        groups: list[dict[str, Any]] = [
            {"params": matrices, "matrices": True},
            {"params": others},
        ]
        super().__init__(groups, self._adamw.defaults | own)
        self.defaults["fused"] = fused

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; where ``found_inf`` says 1, as a gradient scaler may, weights stay."""
        loss = None if closure is None else closure()
        broken: Tensor | None = getattr(self, "found_inf", None)
        others = []
        for group in self.param_groups:
            if group["matrices"]:
                self._step_matrices(group, broken)
            else:
                others.append(group)
        inner: Any = self._adamw
        inner.param_groups, inner.state = others, self.state
        if broken is not None:
            inner.grad_scale, inner.found_inf = None, broken
        inner.step()
        if broken is not None:
            del inner.grad_scale, inner.found_inf
        return loss

    def _step_matrices(self, group: dict[str, Any], broken: Tensor | None) -> None:
        """All matrices of one shape together, since they are small."""
        by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is None:
                continue
            gradient = weight.grad
            if broken is not None:
                gradient = torch.where(broken > 0, 0.0, gradient)
            state = self.state[weight]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(weight)
            follow = _unless(broken, 1 - group["momentum"])
            state["momentum"].lerp_(gradient, follow)
            update = torch.lerp(gradient, state["momentum"], group["momentum"])
            count = _parts(weight, group["gates"], group["smallest"])
            for part, whole in zip(update.chunk(count), weight.chunk(count), strict=True):
                by_shape[part.shape].append((part, whole))
        for shape, pairs in by_shape.items():
            updates = orthogonalised(torch.stack([part for part, _ in pairs]))
            rate = _unless(broken, group["lr"])
            updates *= -0.2 * math.sqrt(max(shape)) * rate
            decay = 1 - rate * group["weight_decay"]
            for update, (_, weight) in zip(updates, pairs, strict=True):
                weight.mul_(decay).add_(update)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices (N, R, C) with singular values near 1 and the singular vectors they had.

    In bfloat16 on a GPU and under autocast, which the iteration bears, and in float32 elsewhere.
    """
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    if x.is_cuda or torch.is_autocast_enabled("cpu"):
        x = x.bfloat16()
    a, b, c = _COEFFICIENTS
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = a * x + torch.baddbmm(square, square, square, beta=b, alpha=c) @ x
    result: Tensor = (x if wide else x.mT).to(matrices.dtype)
    return result


def _parts(weight: Tensor, gates: int, smallest: int) -> int:
    """How many matrices are stacked in ``weight``."""
    rows = weight.shape[0]
    return gates if rows % gates == 0 and rows >= gates * smallest else 1


def _unless(broken: Tensor | None, value: float) -> float | Tensor:
    """``value``, or 0 where ``broken`` says so, without asking the device."""
    return value if broken is None else value * (1 - broken)
