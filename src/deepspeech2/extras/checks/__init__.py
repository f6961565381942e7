"""Checks before training: of the machine, its disks, and the corpora."""

from deepspeech2.extras.checks.audio_check import (
    AudioCheck,
    check_recordings,
    judge_recordings,
    spread,
)
from deepspeech2.extras.checks.corpus_check import (
    Trainable,
    judge_contents,
    judge_overlaps,
    judge_repetitions,
    judge_size,
    judge_transcripts,
    report,
    trainable,
)
from deepspeech2.extras.checks.environment import (
    Demand,
    Machine,
    cache_demand,
    checkpoint_demand,
    gather,
    judge_disks,
    judge_machine,
    judge_wandb,
)
from deepspeech2.extras.checks.finding import Finding, quantity, render
from deepspeech2.extras.checks.thorough import check_corpora, judge_missing, present_and_missing

__all__ = [
    "AudioCheck",
    "Demand",
    "Finding",
    "Machine",
    "Trainable",
    "cache_demand",
    "check_corpora",
    "check_recordings",
    "checkpoint_demand",
    "gather",
    "judge_contents",
    "judge_disks",
    "judge_machine",
    "judge_missing",
    "judge_overlaps",
    "judge_recordings",
    "judge_repetitions",
    "judge_size",
    "judge_transcripts",
    "judge_wandb",
    "present_and_missing",
    "quantity",
    "render",
    "report",
    "spread",
    "trainable",
]
