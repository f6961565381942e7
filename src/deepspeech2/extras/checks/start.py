"""The checks that a run can afford before its first step: about two seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from deepspeech2.datasets.corpus import Corpus
from deepspeech2.extras.checks.audio_check import judge_recordings, listen
from deepspeech2.extras.checks.disk import cache_demand, judge_disks, run_demand
from deepspeech2.extras.checks.duplicates import judge_overlaps, judge_repetitions
from deepspeech2.extras.checks.environment import gather, judge_machine
from deepspeech2.extras.checks.finding import Finding
from deepspeech2.types import Utterance

SAMPLED = 64
"""So many recordings are read, of all corpora together."""

_SECONDS = 30.0  # that are read of each


def quick(
    corpora: Mapping[str, Corpus],
    run_folder: Path,
    *,
    checkpoint_size: int,
    n_checkpoints: int,
    device: str = "auto",
    cache_dir: Path | None = None,
) -> list[Finding]:
    """What is worth knowing when a run starts: machine, disks, duplicates, a sample of audio.

    What CTC cannot align is left to :func:`deepspeech2.extras.checks.corpus_check.trainable`,
    which a run calls anyway; every recording is only read by ``scripts/doctor.py``.

    Args:
        corpora: by the names that they have in ``datasets``.
        checkpoint_size: bytes of one.
        n_checkpoints: how many lie beside each other in ``run_folder``.
        device: as in ``trainer.device``.
        cache_dir: of a disk cache; None if there is none.
    """
    demands = [run_demand(run_folder, checkpoint_size, n_checkpoints)]
    if cache_dir is not None:
        seconds = sum(corpus.duration for corpus in corpora.values())
        demands.append(cache_demand(cache_dir, seconds))
    machine = gather([demand.place for demand in demands], thorough=False)
    findings = judge_machine(machine, device=device)
    findings += judge_disks(demands, machine.disks)
    for name, corpus in corpora.items():
        findings.append(judge_repetitions(f"datasets.{name}", corpus))
    findings += judge_overlaps(corpora)
    for name, corpus in corpora.items():
        if len(corpus):
            sample = spread(corpus.utterances, max(1, SAMPLED // len(corpora)))
            shared = Counter(utterance.audio for utterance in corpus)
            heard = listen(sample, most_seconds=_SECONDS, show=False)
            findings += judge_recordings(f"datasets.{name}", heard, shared)
    return findings


def spread(utterances: Sequence[Utterance], number: int) -> list[Utterance]:
    """``number`` of the utterances at even distances, the same every time; all if there are less.

    Returns:
        In the order of ``utterances``.
    """
    if len(utterances) <= number:
        return list(utterances)
    return [utterances[index * len(utterances) // number] for index in range(number)]
