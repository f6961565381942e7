"""What is wrong with recordings (silence, clipping, lengths), and which formats can be read."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from deepspeech2.audio.reading import probe, read_audio
from deepspeech2.errors import AudioError
from deepspeech2.extras.checks.finding import Finding, Severity, few, quantity
from deepspeech2.hardware import cpus
from deepspeech2.processes import cancelling
from deepspeech2.types import Utterance

SILENCE_DBFS = -60.0
"""A recording whose peak is below this contains no speech."""

CLIPPED_RUN = 3
"""This many samples at full scale in a row are clipped; a single one is a loud peak."""

LENGTH_TOLERANCE = 0.1
"""Seconds by which the file may differ from a manifest's rounded duration."""

FORMATS = {
    "flac": ("tone.flac", "FLAC", "PCM_16"),
    "wav": ("tone.wav", "WAV", "PCM_16"),
    "ogg-opus": ("tone.opus", "OGG", "OPUS"),
    "m4a": ("tone.m4a", "ipod", "alac"),
}
"""By name: file, container and encoding, as libsndfile calls them, or FFmpeg for m4a."""

_FULL_SCALE = 32767 / 32768  # the largest positive 16-bit sample
_CHUNK = 8  # utterances for one task
_RATE = 16000  # Hz, of a test tone
_FAINTEST = 0.5  # of the loudness that was written, after a lossy codec

_REMEDIES = {
    "reading": "Mend or replace these files; training goes on without them.",
    "duration": "Write the manifest anew with the durations of the files.",
    "silence": "Record these again, or drop them from the corpus.",
    "clipping": "Lower the input level and record these again, or accept the distortion.",
}
"""By the kind of fault: what a user can do."""


@dataclass(frozen=True, slots=True)
class AudioCheck:
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
        """Whether it was read and contains no speech."""
        return self.digest is not None and self.peak_dbfs < SILENCE_DBFS


def check_recordings(
    utterances: Sequence[Utterance],
    *,
    description: str = "listening",
    max_seconds: float | None = None,
    show: bool = True,
) -> list[AudioCheck]:
    """Read every utterance in threads, return what was measured in the same order.

    Args:
        description: printed before the progress bar.
        max_seconds: read no more of an utterance than this.
        show: whether a terminal shows the bar.
    """
    chunks = [utterances[start : start + _CHUNK] for start in range(0, len(utterances), _CHUNK)]

    def check(chunk: Sequence[Utterance]) -> list[AudioCheck]:
        return [_check(utterance, max_seconds) for utterance in chunk]

    checked: list[AudioCheck] = []
    hidden = None if show else True  # None: hidden where there is no terminal
    with (
        cancelling(ThreadPoolExecutor(min(32, 2 * cpus()))) as pool,  # decoding frees Python's lock
        tqdm(total=len(utterances), desc=description, unit=" utterances", disable=hidden) as bar,
    ):
        for results in pool.map(check, chunks):
            checked.extend(results)
            bar.update(len(results))
    return checked


def _check(utterance: Utterance, max_seconds: float | None) -> AudioCheck:
    duration = utterance.duration if max_seconds is None else min(utterance.duration, max_seconds)
    length = None
    try:
        info = probe(utterance.audio)
        length = info.duration
        if utterance.offset + utterance.duration > length + LENGTH_TOLERANCE:
            return AudioCheck(utterance, length)
        samples = read_audio(
            utterance.audio,
            sample_rate=info.sample_rate,  # its own: resampling would move the peaks
            offset=utterance.offset,
            duration=duration,
        ).numpy()
    except AudioError as error:
        reason = str(error).removeprefix(f"{utterance.audio} ")
        return AudioCheck(utterance, length, fault=reason)
    loudness = np.abs(samples)
    return AudioCheck(
        utterance,
        length,
        peak=float(loudness.max()),
        clipped=clipped_share(loudness),
        digest=hashlib.blake2b(samples.tobytes(), digest_size=16).digest(),
    )


def clipped_share(loudness: NDArray[np.float32]) -> float:
    """The share of samples in runs of at least :data:`CLIPPED_RUN` at full scale.

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
    area: str, checked: Sequence[AudioCheck], sharing: Mapping[Path, int] | None = None
) -> list[Finding]:
    """One finding for each kind of fault that occurs, or one that says that none does.

    Args:
        sharing: how many utterances of the corpus each file contains, by default of ``checked``;
            a single one should last as long as its file.
    """
    sharing = Counter(item.utterance.audio for item in checked) if sharing is None else sharing
    faults: dict[str, list[str]] = {kind: [] for kind in _REMEDIES}
    for item in checked:
        for kind, text in _faults(item, alone=sharing[item.utterance.audio] == 1):
            faults[kind].append(f"{item.utterance.id} {text}")
    read = quantity(len(checked), "recording")
    findings = []
    for kind, names in faults.items():
        if names:
            useless = kind in ("reading", "silence") and len(names) == len(checked)
            severity: Severity = "error" if useless else "warning"
            found = f"{len(names)} of {read}: {few(names)}"
            findings.append(Finding(severity, f"{area}: {kind}", found, _REMEDIES[kind]))
    found = f"{read} read, none broken, silent, clipped or of another length"
    return findings or [Finding("ok", f"{area}: recordings", found)]


def _faults(item: AudioCheck, *, alone: bool) -> list[tuple[str, str]]:
    """Kinds of fault, each with its values; ``alone`` if no other utterance is in the file."""
    if item.fault is not None:
        return [("reading", item.fault)]
    faults = []
    start, seconds, whole = item.utterance.offset, item.utterance.duration, item.file_duration
    if whole is not None:
        beyond = whole - start - seconds
        if beyond < -LENGTH_TOLERANCE or (alone and start == 0 and beyond > LENGTH_TOLERANCE):
            text = f"{seconds:.2f} s from {start:.2f} s on, in a file of {whole:.2f} s"
            faults.append(("duration", text))
    if item.silent:
        faults.append(("silence", f"{item.peak_dbfs:.1f} dBFS"))
    if item.clipped:
        faults.append(("clipping", f"{item.clipped:.3%}"))
    return faults


def spread(utterances: Sequence[Utterance], number: int) -> list[Utterance]:
    """Take ``number`` utterances at even distances, in order; all of them if there are fewer."""
    if len(utterances) <= number:
        return list(utterances)
    return [utterances[index * len(utterances) // number] for index in range(number)]


def judge_formats(faults: Mapping[str, str | None] | None = None) -> list[Finding]:
    """Whether audio can be read; training needs FLAC and WAV.

    Args:
        faults: by format; by default what :func:`try_formats` returns.
    """
    faults = try_formats() if faults is None else faults
    findings = []
    if readable := [name for name, fault in faults.items() if fault is None]:
        findings.append(Finding("ok", "machine: audio", f"{', '.join(readable)} written and read"))
    for name, fault in faults.items():
        if fault is None:
            continue
        severity: Severity = "error" if name in ("flac", "wav") else "warning"
        library = "av" if name == "m4a" else "soundfile"
        remedy = f"Install {library} anew: pip install --force-reinstall {library}."
        if "No space" in fault:
            remedy = "Make room in the folder for temporary files, or set TMPDIR to another."
        findings.append(Finding(severity, "machine: audio", f"{name}: {fault}", remedy))
    return findings


def try_formats() -> dict[str, str | None]:
    """Write and read a tone in every format, return what went wrong with each, or None."""
    try:
        with tempfile.TemporaryDirectory(prefix="preflight-") as folder:
            return {name: _format_fault(Path(folder), *how) for name, how in FORMATS.items()}
    except OSError as error:
        return dict.fromkeys(FORMATS, f"no temporary folder ({error})")


def _format_fault(folder: Path, file: str, container: str, encoding: str) -> str | None:
    tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(_RATE // 5) / _RATE)
    try:
        if container == "ipod":
            _write_with_ffmpeg(folder / file, tone, container, encoding)
        else:
            soundfile.write(folder / file, tone, _RATE, format=container, subtype=encoding)
        samples = read_audio(folder / file, sample_rate=_RATE).numpy()
    except (AudioError, soundfile.SoundFileError, OSError, ValueError, ImportError) as error:
        return str(error).replace(f"{folder}/", "")
    if len(samples) != len(tone):
        return f"{len(tone)} samples were written, but {len(samples)} read"
    if samples.std() < _FAINTEST * tone.std():
        return "a tone was written, but not read back"
    return None


def _write_with_ffmpeg(
    path: Path, tone: NDArray[np.float64], container: str, encoding: str
) -> None:
    import av  # which is what may be missing

    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(encoding, rate=_RATE, layout="mono")
        samples = np.rint(32767 * tone).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16p", "mono")
        frame.sample_rate = _RATE
        file.mux([*stream.encode(frame), *stream.encode(None)])
