"""Recordings to transcribe: files, folders, lists, manifests, standard input, the microphone."""

from __future__ import annotations

import contextlib
import logging
import queue
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from deepspeech2.audio.containers import begins_like_a_recording
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.directory import DirectoryCorpus, recordings_corpus
from deepspeech2.datasets.manifest import ManifestCorpus
from deepspeech2.errors import AudioError, ConfigError, ManifestError
from deepspeech2.http.addresses import is_address
from deepspeech2.http.remote import copies, fetch_recordings, open_list, place_free, recording
from deepspeech2.paths import at_home, resolve

log = logging.getLogger(__name__)

FOLDER = "data/recordings"
"""Where sound that is no file yet is recorded."""

_LISTS = (".txt", ".lst")
_MANIFESTS = (".json", ".jsonl")
_BLOCK = 1 << 16  # bytes that are read at a time


class AudioCorpus(Corpus):
    """Recordings to transcribe, with the references beside them, if there are any.

    Args:
        audio: a recording; a folder of recordings; a list of paths, one a line, relative to the
            list (``.txt``, ``.lst``; ``#`` begins a comment unless a file has that name); a
            manifest (``.jsonl``, ``.json``); several recordings; ``-`` for standard input, with a
            recording or raw 16-bit samples; ``microphone``.
            A relative path counts from the repository's root. A recording, a list and a manifest
            may be addresses; see :mod:`deepspeech2.http.remote`.
        rate: of raw samples and of the microphone, in Hz.
        seconds: to record from the microphone; None: until Ctrl-C.

    Raises:
        AudioError: nothing can be recorded.
        ConfigError: ``audio`` is empty.
        ManifestError: a file is missing or malformed, or no recording is left.
    """

    def __init__(
        self, audio: str | Sequence[str], *, rate: int = 16000, seconds: float | None = None
    ) -> None:
        corpus = _open(audio, rate, seconds)
        super().__init__(corpus.name, corpus.utterances, corpus.exclusions)


def _open(audio: str | Sequence[str], rate: int, seconds: float | None) -> Corpus:
    if not audio:
        raise ConfigError("audio must name a recording, a folder, a list or a manifest")
    if not isinstance(audio, str):
        return recordings_corpus(_fetched(audio), name="recordings")
    if audio == "-":
        return DirectoryCorpus(record_stdin(rate))
    if audio == "microphone":
        return DirectoryCorpus(record_microphone(rate, seconds))
    path = open_list(audio)
    if path.is_file() and path.suffix.lower() in _LISTS:
        return recordings_corpus(_listed(path), name=path.stem)
    if path.is_file() and path.suffix.lower() in _MANIFESTS:
        return ManifestCorpus(audio)
    return DirectoryCorpus(path)


def _fetched(audio: Sequence[str]) -> list[Path]:
    """The paths of recordings, fetched where they have addresses."""
    addresses = [each for each in audio if is_address(each)]
    places = dict(zip(addresses, copies(addresses), strict=True))
    return [places[each] if each in places else resolve(each) for each in audio]


def _listed(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is no list of recordings: it is not UTF-8") from error
    try:
        recordings = [named for line in lines if (named := _named(line, path.parent))]
    except ValueError as error:
        raise ManifestError(f"{path}: {error}") from error
    if not recordings:
        raise ManifestError(f"{path} lists no recording")
    for place, reason in fetch_recordings(recordings).items():
        log.warning("%s: %s is left out: it %s", path, place_free(place), reason)
    return recordings


def _named(line: str, folder: Path) -> Path | None:
    """Return the recording that a line names; None for a comment and an empty line."""
    whole = line.strip()
    if not whole or (whole.startswith("#") and not (folder / whole).exists()):
        return None
    path = folder / at_home(str(recording(whole, folder)))
    if path.exists():
        return path
    return folder / at_home(str(recording(whole.partition(" #")[0].strip(), folder)))


def record_stdin(rate: int, stream: BinaryIO | None = None) -> Path:
    """Write a stream to a new file below ``data/recordings`` and return its path.

    A recording with a header stays as it is; anything else is taken for samples of 16 bits,
    little-endian, of one channel.

    Args:
        rate: of samples without a header, in Hz.
        stream: None: standard input.

    Raises:
        AudioError: the stream is a terminal, or ends before the first sample.
        ConfigError: ``rate`` is not positive.
    """
    source = stream or sys.stdin.buffer
    if source.isatty():
        raise AudioError(
            "audio=- reads raw samples from standard input, but that is a terminal: pipe them in,"
            " as in ffmpeg -i talk.mp4 -f s16le -ac 1 -ar 16000 - | python inference.py ..."
        )
    first = source.read(_BLOCK)
    if not begins_like_a_recording(first):
        return _save("stdin", rate, _samples(first, source))
    path = _new("stdin", "audio")  # readers go by its content
    with path.open("wb") as file:
        file.write(first)
        shutil.copyfileobj(source, file)
    return path


def record_microphone(rate: int, seconds: float | None = None) -> Path:
    """Record from the default microphone until Ctrl-C, or for ``seconds``, to a new file.

    Raises:
        AudioError: ``sounddevice`` is not installed, or there is no microphone.
        ConfigError: ``rate`` is not positive.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: it is there, but PortAudio is not
        raise AudioError(
            f"audio=microphone needs sounddevice and PortAudio ({error}): pip install sounddevice,"
            " and libportaudio2 from the system's packages"
        ) from error
    return _save("microphone", rate, _listen(sounddevice, rate, seconds))


def _samples(block: bytes, source: BinaryIO) -> Iterator[NDArray[np.int16]]:
    while block:
        whole = len(block) - len(block) % 2
        yield np.frombuffer(block[:whole], "<i2")
        more = source.read(_BLOCK)
        block = block[whole:] + more if more else b""


def _listen(device: Any, rate: int, seconds: float | None) -> Iterator[NDArray[np.int16]]:
    blocks: queue.Queue[bytes] = queue.Queue()
    end = None if seconds is None else time.monotonic() + seconds
    print("listening; Ctrl-C ends", file=sys.stderr)
    try:
        stream = device.RawInputStream(
            rate, channels=1, dtype="int16", callback=lambda data, *_: blocks.put(bytes(data))
        )
    except Exception as error:  # PortAudio's own errors, which only its module can name
        raise AudioError(f"there is no microphone to record from: {error}") from error
    with stream, contextlib.suppress(KeyboardInterrupt):
        while end is None or time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                yield np.frombuffer(blocks.get(timeout=0.2), "<i2")


def _new(name: str, ending: str) -> Path:
    folder = resolve(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}-{datetime.now():%Y%m%d-%H%M%S-%f}.{ending}"


def _save(name: str, rate: int, blocks: Iterator[NDArray[np.int16]]) -> Path:
    """Write blocks as they come, so that only one of them is in memory."""
    if rate <= 0:
        raise ConfigError(f"rate must be positive, but is {rate}")
    path = _new(name, "wav")
    count = 0
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        for block in blocks:
            file.write(block)
            count += len(block)
    if not count:
        path.unlink()
        if name == "stdin":
            raise AudioError(
                "audio=- ended without a sample: see whether the program that writes into it fails"
            )
        raise AudioError(f"audio={name} ended without a sample: check whether it may be used")
    return path
