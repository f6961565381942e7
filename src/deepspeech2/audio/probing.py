"""The headers of many recordings at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from deepspeech2.audio.reading import AudioInfo, probe
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.hardware import cpus
from deepspeech2.processes import cancelling

_CHUNK = 32  # files for one task: a task for each would cost more than the reading


def probe_all(
    paths: Sequence[Path], *, n_workers: int | None = None, description: str = "reading headers"
) -> list[AudioInfo | AudioError]:
    """:func:`probe` for every path, in order: what the header says, or what is wrong with it.

    Threads wait for the disk together, which is what the time goes to on a cold cache and on a
    network file system. A progress bar is shown on a terminal.

    Raises:
        ConfigError: ``n_workers`` is not positive; by default it is four for each core, up to 32.
    """
    if n_workers is None:
        n_workers = min(32, 4 * cpus())
    if n_workers <= 0:
        raise ConfigError(f"n_workers must be positive, but is {n_workers}")
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    results: list[AudioInfo | AudioError] = []
    with (
        cancelling(ThreadPoolExecutor(n_workers)) as pool,
        tqdm(total=len(paths), desc=description, unit=" files", disable=None) as bar,
    ):
        for found in pool.map(_probe_chunk, chunks):
            results.extend(found)
            bar.update(len(found))
    return results


def _probe_chunk(paths: Sequence[Path]) -> list[AudioInfo | AudioError]:
    return [_probe_or_error(path) for path in paths]


def _probe_or_error(path: Path) -> AudioInfo | AudioError:
    try:
        return probe(path)
    except AudioError as error:
        return error
