"""Training: settings, loop, checkpoints, schedule, what is shown."""

from deepspeech2.optim.muon import Muon
from deepspeech2.trainer.checkpoints import Keeper, training_plan
from deepspeech2.trainer.epoch_end import EpochEnd
from deepspeech2.trainer.figures import Showroom
from deepspeech2.trainer.learner import Learner
from deepspeech2.trainer.logs import logging_to
from deepspeech2.trainer.microbatches import TrainingData, epoch_ends
from deepspeech2.trainer.pretrained import freeze, start_from
from deepspeech2.trainer.progress import Progress
from deepspeech2.trainer.run_folder import Machine, RunFacts, RunFolder
from deepspeech2.trainer.trainer import Trainer
from deepspeech2.trainer.validation import Validator

__all__ = [
    "EpochEnd",
    "Keeper",
    "Learner",
    "Machine",
    "Muon",
    "Progress",
    "RunFacts",
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
