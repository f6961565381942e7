"""Training: loop, steps, checkpoints, validation, figures."""

from deepspeech2.optim.muon import Muon
from deepspeech2.trainer.checkpoints import Checkpoints, find_checkpoint, training_plan
from deepspeech2.trainer.epoch_end import EpochEnd
from deepspeech2.trainer.figures import Figures
from deepspeech2.trainer.learner import Learner
from deepspeech2.trainer.microbatches import TrainingData, epoch_ends
from deepspeech2.trainer.monitor import Progress
from deepspeech2.trainer.pace import Pace, measure_pace
from deepspeech2.trainer.pretrained import freeze, start_from
from deepspeech2.trainer.run_folder import Machine, RunFolder, RunSummary, logging_to, run_path
from deepspeech2.trainer.trainer import Trainer
from deepspeech2.trainer.validation import Validator

__all__ = [
    "Checkpoints",
    "EpochEnd",
    "Figures",
    "Learner",
    "Machine",
    "Muon",
    "Pace",
    "Progress",
    "RunFolder",
    "RunSummary",
    "Trainer",
    "TrainingData",
    "Validator",
    "epoch_ends",
    "find_checkpoint",
    "freeze",
    "logging_to",
    "measure_pace",
    "run_path",
    "start_from",
    "training_plan",
]
