"""The corpus that needs no download: short sentences, spoken once by eSpeak NG and then kept."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from tqdm import tqdm

from deepspeech2.audio.synthesis import Synthesizer
from deepspeech2.audio.synthesis_events import SpokenWord
from deepspeech2.datasets.librispeech import LibriSpeechCorpus
from deepspeech2.datasets.spoken.script import PARTS, VERSION, Line, script
from deepspeech2.errors import ConfigError, SpeechError
from deepspeech2.files import locked, whole_folder
from deepspeech2.hardware import cpus
from deepspeech2.paths import move_aside, resolve
from deepspeech2.processes import cancelling, serve_parent, signals_held_back

SAMPLE_RATE = 16000
MARK = ".spoken-version"

_CHUNK = 16  # utterances for one task
_AUDIBLE = 0.003  # of the peak: what is softer at either end is cut off
_FULL_SCALE = 32767
_logger = logging.getLogger(__name__)


class SpokenCorpus(LibriSpeechCorpus):
    """A part of the built-in corpus, which is spoken once, when it is first used.

    About 43 minutes of training and 3.6 minutes each of validation and test, with 176 different
    words. The parts share neither a sentence nor a voice. The files have LibriSpeech's layout, as
    FLAC at 16 kHz, the same on every machine of the same kind.

    Args:
        part: "train", "val" or "test".
        data_dir: of the files; a relative path counts from the repository's root.
        n_workers: processes that speak; None for one for each core.

    The other arguments are those of :class:`LibriSpeechCorpus`.

    Raises:
        ConfigError: ``part`` is unknown, ``data_dir`` contains something else, or an option is out
            of range.
        SpeechError: eSpeak NG cannot be loaded, or the files cannot be written.
    """

    def __init__(
        self,
        part: str,
        data_dir: str | Path = "data/datasets/spoken",
        *,
        hours: float | None = None,
        limit: int | None = None,
        max_audio_length: float | None = None,
        max_text_length: int | None = None,
        index_dir: str | Path | None = None,
        n_workers: int | None = None,
    ) -> None:
        if part not in PARTS:
            raise ConfigError(f"part must be one of {', '.join(PARTS)}, but is {part!r}")
        ensure_corpus(resolve(data_dir), n_workers=n_workers)
        super().__init__(
            part,
            data_dir,
            hours=hours,
            limit=limit,
            max_audio_length=max_audio_length,
            max_text_length=max_text_length,
            index_dir=index_dir,
            download=False,
        )


def ensure_corpus(data_dir: Path, *, n_workers: int | None = None) -> None:
    """Speak the corpus into ``data_dir`` unless it is there already.

    It is written beside ``data_dir`` and renamed when it is complete. Of several processes one
    speaks while the others wait. A corpus of another version is moved aside.

    Raises:
        ConfigError: ``data_dir`` contains something else, or ``n_workers`` is not positive.
        SpeechError: eSpeak NG cannot be loaded, or the files cannot be written.
    """
    if n_workers is not None and n_workers < 1:
        raise ConfigError(f"n_workers must be positive, but is {n_workers}")
    if _is_current(data_dir):
        return
    # A spawned process runs its parent's main module again. Where that one is not guarded it
    # comes here, and would wait for the lock of its parent, which waits for it.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SpeechError('the main module must start its work below if __name__ == "__main__"')
    try:
        with locked(data_dir.with_name(f".{data_dir.name}.lock")):
            if not _is_current(data_dir):
                _make(data_dir, n_workers)
    except (OSError, soundfile.SoundFileError) as error:
        raise SpeechError(
            f"the built-in corpus cannot be written to {data_dir} ({error}): "
            f"free space, mend permissions, or set data_dir to another folder"
        ) from error
    except BrokenExecutor as error:
        raise SpeechError(
            f"a process that spoke the built-in corpus into {data_dir} ended early: free memory, "
            f'or start the work of the main module below if __name__ == "__main__"'
        ) from error


def record(lines: Iterable[Line], folder: Path, *, n_workers: int | None = None) -> None:
    """Speak ``lines`` into ``folder``: audio and transcripts, with a progress bar on a terminal.

    Args:
        n_workers: processes; 1 speaks in this one, None is one for each core up to 8.
    """
    lines = list(lines)
    transcripts: dict[Path, list[str]] = {}
    for line in lines:
        transcripts.setdefault(folder / line.transcript, []).append(
            f"{line.id} {line.text.upper()}\n"
        )
    for path, rows in transcripts.items():
        path.parent.mkdir(parents=True)
        path.write_text("".join(rows), encoding="utf-8")
    chunks = [lines[start : start + _CHUNK] for start in range(0, len(lines), _CHUNK)]
    with tqdm(total=len(lines), desc="speaking", unit=" utterances", disable=None) as bar:
        for count in _in_processes(chunks, folder, n_workers or min(8, cpus())):
            bar.update(count)


def render(line: Line) -> NDArray[np.int16]:
    """Speak ``line`` with silence around it and a faint noise; return (S,) at 16 kHz.

    Raises:
        SpeechError: eSpeak NG cannot be loaded, or is silent.
    """
    spoken, sample_rate = Synthesizer().speak(line.text, line.voice)
    speech, audible = _audible(line, spoken, sample_rate)
    before, after = (round(seconds * SAMPLE_RATE) for seconds in line.silence)
    speech = np.pad(speech[audible], (before, after))
    noise = np.random.default_rng(line.seed).standard_normal(len(speech))
    mixed = speech / np.abs(speech).max() + 10 ** (line.noise_db / 20) * noise
    scaled = mixed / np.abs(mixed).max() * 10 ** (line.peak_db / 20)
    samples: NDArray[np.int16] = (scaled * _FULL_SCALE).round().astype(np.int16)
    return samples


def word_times(line: Line) -> tuple[SpokenWord, ...]:
    """Return when each word is said in the samples of :func:`render`.

    Raises: as :func:`render`.
    """
    spoken, sample_rate, words = Synthesizer().speak_timed(line.text, line.voice)
    _, audible = _audible(line, spoken, sample_rate)
    first, last = float(audible.start) / SAMPLE_RATE, float(audible.stop) / SAMPLE_RATE
    shift = round(line.silence[0] * SAMPLE_RATE) / SAMPLE_RATE - first

    def moved(seconds: float) -> float:
        return min(max(seconds, first), last) + shift

    return tuple(SpokenWord(word.text, moved(word.start), moved(word.end)) for word in words)


def _audible(
    line: Line, spoken: NDArray[np.float32], sample_rate: int
) -> tuple[NDArray[np.float64], slice]:
    """Return the speech (S,) at 16 kHz, and the part of it without the silence at both ends.

    Raises:
        SpeechError: there is none.
    """
    if not np.any(spoken):
        raise SpeechError(f"eSpeak NG is silent for {line.text!r} with {line.voice.name}")
    speech = soxr.resample(spoken, sample_rate, SAMPLE_RATE).astype(np.float64)
    loud = np.flatnonzero(np.abs(speech) > _AUDIBLE * np.abs(speech).max())
    return speech, slice(int(loud[0]), int(loud[-1]) + 1)


def _is_current(data_dir: Path) -> bool:
    try:
        return (data_dir / MARK).read_text(encoding="utf-8").strip() == str(VERSION)
    except FileNotFoundError:
        return False


def _make(data_dir: Path, n_workers: int | None) -> None:
    if data_dir.exists() and not (data_dir / MARK).exists() and any(data_dir.iterdir()):
        raise ConfigError(
            f"data_dir must be a new or empty folder for the built-in corpus, "
            f"but {data_dir} contains something else"
        )
    _logger.info("Speaking the built-in corpus into %s, once", data_dir)
    with whole_folder(data_dir) as fresh:
        record(script(), fresh, n_workers=n_workers)
        (fresh / MARK).write_text(f"{VERSION}\n", encoding="utf-8")
        if (data_dir / MARK).exists():
            _logger.info("Another version was moved to %s", move_aside(data_dir))


def _in_processes(chunks: Sequence[Sequence[Line]], folder: Path, n_workers: int) -> Iterator[int]:
    """Yield numbers of finished utterances."""
    task = partial(_record_chunk, folder)
    if n_workers == 1:
        yield from map(task, chunks)
        return
    # Spawned, because a fork of a process with threads or a GPU may hang.
    context = multiprocessing.get_context("spawn")
    workers = ProcessPoolExecutor(n_workers, mp_context=context, initializer=serve_parent)
    with cancelling(workers) as pool:
        with signals_held_back():
            numbers = pool.map(task, chunks)
        yield from numbers


def _record_chunk(folder: Path, lines: Sequence[Line]) -> int:
    for line in lines:
        path = folder / line.chapter / f"{line.id}.flac"
        soundfile.write(path, render(line), SAMPLE_RATE, subtype="PCM_16")
    return len(lines)
