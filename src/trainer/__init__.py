"""Training: settings, loop, checkpoints, schedule, what is shown."""

from src.trainer.closing import EpochEnd
from src.trainer.feed import TrainingData, epoch_ends
from src.trainer.keeping import Keeper, training_plan
from src.trainer.learner import Learner
from src.trainer.logs import logging_to
from src.trainer.muon import Muon
from src.trainer.progress import Progress
from src.trainer.run_folder import RunFolder
from src.trainer.showing import Showroom
from src.trainer.starting import freeze, start_from
from src.trainer.trainer import Trainer
from src.trainer.validation import Validator

__all__ = [
    "EpochEnd",
    "Keeper",
    "Learner",
    "Muon",
    "Progress",
    "RunFolder",
    "Showroom",
    "Trainer",
    "TrainingData",
    "Validator",
    "epoch_ends",
    "freeze",
    "logging_to",
    "start_from",
    "training_plan",
]
