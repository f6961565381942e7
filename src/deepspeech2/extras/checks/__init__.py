"""What is worth knowing before training: of the machine, the disks, and the corpora."""

from deepspeech2.extras.checks.audio_check import Heard, judge_recordings, listen
from deepspeech2.extras.checks.corpus_check import judge_size, judge_transcripts, report, trainable
from deepspeech2.extras.checks.disk import (
    Demand,
    cache_demand,
    checkpoint_bytes,
    judge_disks,
    kept_checkpoints,
    run_demand,
)
from deepspeech2.extras.checks.duplicates import judge_contents, judge_overlaps, judge_repetitions
from deepspeech2.extras.checks.environment import Machine, gather, judge_machine
from deepspeech2.extras.checks.finding import Finding, render
from deepspeech2.extras.checks.presence import judge_missing, present_and_missing
from deepspeech2.extras.checks.start import quick

__all__ = [
    "Demand",
    "Finding",
    "Heard",
    "Machine",
    "cache_demand",
    "checkpoint_bytes",
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
    "kept_checkpoints",
    "listen",
    "present_and_missing",
    "quick",
    "render",
    "report",
    "run_demand",
    "trainable",
]
