"""Training objectives."""

from src.loss.ctc import BLANK, CtcLoss, LossValue

__all__ = ["BLANK", "CtcLoss", "LossValue"]
