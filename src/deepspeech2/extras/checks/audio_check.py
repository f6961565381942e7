"""What is wrong with recordings themselves: silence, clipping, and another length than told."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from deepspeech2.audio.reading import probe, read_audio
from deepspeech2.errors import AudioError
from deepspeech2.extras.checks.finding import Finding, Severity, few, quantity
from deepspeech2.hardware import cpus
from deepspeech2.processes import cancelling
from deepspeech2.types import Utterance

SILENCE_DBFS = -60.0
"""A recording whose peak is below this holds no speech."""

CLIPPED_RUN = 3
"""So many samples at full scale in a row are clipped; a lone one is a loud peak."""

LENGTH_TOLERANCE = 0.1
"""Seconds between a manifest's rounded duration and the file that pass for equal."""

_FULL_SCALE = 32767 / 32768  # the largest positive 16-bit sample
_CHUNK = 8  # utterances for one task

_REMEDIES = {
    "reading": "Mend or replace these files; training goes on without them.",
    "duration": "Write the manifest anew with the durations of the files.",
    "silence": "Record these again, or drop them from the corpus.",
    "clipping": "Lower the input level and record these again, or accept the distortion.",
}
"""By the kind of fault: what a user can do."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One utterance, read.

    Attributes:
        file_duration: of the whole file, in seconds; None if it has no readable header.
        peak: the largest magnitude, 1 is full scale.
        clipped: the share of samples that are clipped.
        digest: of the samples; None if they could not be read.
        fault: why they could not be read, or None.
    """

    utterance: Utterance
    file_duration: float | None = None
    peak: float = 0.0
    clipped: float = 0.0
    digest: bytes | None = None
    fault: str | None = None

    @property
    def peak_dbfs(self) -> float:
        """The peak in decibels below full scale; minus infinity if every sample is zero."""
        return 20 * float(np.log10(self.peak)) if self.peak > 0 else -np.inf

    @property
    def silent(self) -> bool:
        """Whether it was read and holds no speech."""
        return self.digest is not None and self.peak_dbfs < SILENCE_DBFS


def listen(
    utterances: Sequence[Utterance],
    *,
    description: str = "listening",
    most_seconds: float | None = None,
    show: bool = True,
    n_workers: int | None = None,
) -> list[Heard]:
    """Read every utterance, in order, by threads: decoding does not hold Python's lock.

    Args:
        description: stands before the progress bar, which tells rate and time left.
        most_seconds: read no more of an utterance than this.
        show: whether a terminal shows the bar.
        n_workers: None for two threads each core, at most 32.
    """
    workers = n_workers or min(32, 2 * cpus())
    chunks = [utterances[start : start + _CHUNK] for start in range(0, len(utterances), _CHUNK)]

    def hear(chunk: Sequence[Utterance]) -> list[Heard]:
        return [_hear(utterance, most_seconds) for utterance in chunk]

    heard: list[Heard] = []
    hidden = None if show else True  # None: hidden where there is no terminal
    with (
        cancelling(ThreadPoolExecutor(workers)) as pool,
        tqdm(total=len(utterances), desc=description, unit=" utterances", disable=hidden) as bar,
    ):
        for results in pool.map(hear, chunks):
            heard.extend(results)
            bar.update(len(results))
    return heard


def _hear(utterance: Utterance, most_seconds: float | None) -> Heard:
    duration = utterance.duration
    if most_seconds is not None:
        duration = min(duration, most_seconds)
    length = None
    try:
        info = probe(utterance.audio)
        length = info.duration
        if utterance.offset + utterance.duration > length + LENGTH_TOLERANCE:
            return Heard(utterance, length)
        samples = read_audio(
            utterance.audio,
            sample_rate=info.sample_rate,  # its own: resampling would move the peaks
            offset=utterance.offset,
            duration=duration,
        ).numpy()
    except AudioError as error:
        reason = str(error).removeprefix(f"{utterance.audio} ")
        return Heard(utterance, length, fault=reason)
    loudness = np.abs(samples)
    return Heard(
        utterance,
        length,
        peak=float(loudness.max()),
        clipped=clipped_share(loudness),
        digest=hashlib.blake2b(samples.tobytes(), digest_size=16).digest(),
    )


def clipped_share(loudness: NDArray[np.float32]) -> float:
    """The share of samples that stand at full scale with two more beside them.

    Args:
        loudness: (S,) magnitudes, 1 is full scale.
    """
    full = loudness >= _FULL_SCALE
    if not full.any():
        return 0.0
    edges = np.flatnonzero(np.diff(full.astype(np.int8), prepend=0, append=0))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= CLIPPED_RUN].sum()) / len(loudness)


def judge_recordings(
    area: str, heard: Sequence[Heard], shared: Mapping[Path, int] | None = None
) -> list[Finding]:
    """One finding for each kind of fault that occurs, or one that says that none does.

    Args:
        shared: how many utterances of the corpus lie in each file, by default of ``heard``; one
            that has its file to itself should last as long.
    """
    shared = Counter(item.utterance.audio for item in heard) if shared is None else shared
    faults: dict[str, list[str]] = {kind: [] for kind in _REMEDIES}
    for item in heard:
        for kind, text in _faults(item, shared[item.utterance.audio]):
            faults[kind].append(f"{item.utterance.id} {text}")
    read = quantity(len(heard), "recording")
    findings = []
    for kind, names in faults.items():
        if names:
            useless = kind in ("reading", "silence") and len(names) == len(heard)
            severity: Severity = "error" if useless else "warning"
            found = f"{len(names)} of {read}: {few(names)}"
            findings.append(Finding(severity, f"{area}: {kind}", found, _REMEDIES[kind]))
    found = f"{read} read, none broken, silent, clipped or of another length"
    return findings or [Finding("ok", f"{area}: recordings", found)]


def _faults(item: Heard, n_sharing: int) -> list[tuple[str, str]]:
    """Kinds of fault, each with its values."""
    if item.fault is not None:
        return [("reading", item.fault)]
    found = []
    start, seconds, whole = item.utterance.offset, item.utterance.duration, item.file_duration
    if whole is not None:
        beyond = whole - start - seconds
        alone = start == 0 and n_sharing == 1
        if beyond < -LENGTH_TOLERANCE or (alone and beyond > LENGTH_TOLERANCE):
            told = f"{seconds:.2f} s from {start:.2f} s on, in a file of {whole:.2f} s"
            found.append(("duration", told))
    if item.silent:
        found.append(("silence", f"{item.peak_dbfs:.1f} dBFS"))
    if item.clipped:
        found.append(("clipping", f"{item.clipped:.3%}"))
    return found
