"""What is worth knowing before training: of the machine, the disks, and the corpora."""

from src.preflight.corpus import judge_size, judge_transcripts, report, trainable
from src.preflight.disk import (
    Demand,
    cache_demand,
    checkpoint_bytes,
    judge_disks,
    kept_checkpoints,
    run_demand,
)
from src.preflight.duplicates import judge_contents, judge_overlaps, judge_repetitions
from src.preflight.environment import Machine, gather, judge_machine
from src.preflight.finding import Finding, render
from src.preflight.presence import judge_missing, present_and_missing
from src.preflight.recordings import Heard, judge_recordings, listen
from src.preflight.start import quick

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
