"""Training objectives."""

from deepspeech2.loss.consistency import ConsistentCtcLoss
from deepspeech2.loss.ctc import BLANK, CtcLoss, LossValue
from deepspeech2.loss.functions import as_loss

__all__ = ["BLANK", "ConsistentCtcLoss", "CtcLoss", "LossValue", "as_loss"]
