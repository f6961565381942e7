"""Training objectives."""

from src.loss.consistency import ConsistentCtcLoss
from src.loss.ctc import BLANK, CtcLoss, LossValue

__all__ = ["BLANK", "ConsistentCtcLoss", "CtcLoss", "LossValue"]
