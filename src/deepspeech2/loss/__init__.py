"""Training objectives."""

from deepspeech2.loss.consistency import ConsistentCtcLoss
from deepspeech2.loss.ctc import BLANK, CtcLoss, LossValue

__all__ = ["BLANK", "ConsistentCtcLoss", "CtcLoss", "LossValue"]
