"""A stream depends on the position it starts at and on nothing else."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torch.multiprocessing

from deepspeech2.datasets.dataset import CACHE_KINDS, SpeechDataset
from deepspeech2.datasets.loader import Position, SpeechLoader
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.types import Batch, Sample, Utterance

NUMBER = 40


def encode(text: str) -> list[int]:
    return [int(character) for character in text]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> SpeechDataset:
    """40 utterances of 0.1 to 0.49 s, of which number 7 cannot be read."""
    folder = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(0)
    utterances = []
    for number in range(NUMBER):
        path = folder / f"{number}.wav"
        duration = 0.1 + number / 100
        soundfile.write(path, rng.uniform(-1, 1, round(16000 * duration)), 16000)
        utterances.append(Utterance(f"u{number}", path, duration, str(number)))
    utterances[7].audio.unlink()
    return SpeechDataset(utterances, encode)


def loader(dataset: SpeechDataset, **changes: object) -> SpeechLoader:
    return SpeechLoader(dataset, **({"max_batch_duration": 1.0, "seed": 5} | changes))  # type: ignore[arg-type]


def contents(items: Iterator[tuple[Position, Batch]], number: int) -> list[object]:
    """Everything in the next batches, in a form that compares."""
    return [
        (
            position,
            tuple(utterance.id for utterance in batch.utterances),
            tuple(failure.utterance.id for failure in batch.failures),
            batch.waveforms.data.numpy().tobytes(),
            batch.labels.data.tolist(),
        )
        for position, batch in islice(items, number)
    ]


def test_an_epoch_holds_every_utterance_and_epochs_differ(dataset: SpeechDataset) -> None:
    train = loader(dataset)
    orders = []
    stream = train.stream()
    for epoch in range(3):
        batches = list(islice(stream, train.n_batches(epoch)))
        assert [position for position, _ in batches] == [
            Position(epoch, number) for number in range(train.n_batches(epoch))
        ]
        order = [utterance.id for _, batch in batches for utterance in batch.utterances]
        assert sorted(order) == sorted(f"u{number}" for number in range(NUMBER) if number != 7)
        assert [f.utterance.id for _, batch in batches for f in batch.failures] == ["u7"]
        orders.append(order)
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_stream_is_the_uninterrupted_one(
    dataset: SpeechDataset, num_workers: int
) -> None:
    first_epoch = len(loader(dataset))
    whole = contents(loader(dataset).stream(), first_epoch + 6)
    train = loader(dataset, num_workers=num_workers)
    for start in (0, 3, first_epoch - 1, first_epoch + 2):
        position = whole[start][0]  # type: ignore[index]
        assert contents(train.stream(position), 3) == whole[start : start + 3]
    past_the_end = train.stream(Position(0, first_epoch))
    assert contents(past_the_end, 2) == whole[first_epoch : first_epoch + 2]


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_caches_deliver_the_same_whoever_reads(
    dataset: SpeechDataset, tmp_path: Path, num_workers: int
) -> None:
    plain, memory, disk = (
        SpeechDataset(dataset.utterances, encode, cache=cache, cache_dir=tmp_path)
        for cache in CACHE_KINDS
    )
    number = 2 * len(loader(plain))
    expected = contents(loader(memory).stream(), number)
    assert contents(loader(disk, num_workers=num_workers).stream(), number) == expected
    # The files of this corpus have 16 bits, which is all that a cache keeps.
    assert contents(loader(plain).stream(), number) == expected


@pytest.fixture
def spawn() -> Iterator[None]:
    method = torch.multiprocessing.get_start_method()
    torch.multiprocessing.set_start_method("spawn", force=True)
    yield
    torch.multiprocessing.set_start_method(method, force=True)


@pytest.mark.usefixtures("spawn")
def test_spawned_workers_deliver_the_same(dataset: SpeechDataset, tmp_path: Path) -> None:
    spawned = contents(loader(dataset, num_workers=1).stream(), 3)
    assert spawned == contents(loader(dataset).stream(), 3)
    disk = SpeechDataset(dataset.utterances, encode, cache="disk", cache_dir=tmp_path)
    assert isinstance(disk[0], Sample)  # opens a shard, which must not travel
    assert contents(loader(disk, num_workers=1).stream(), 3) == spawned


class Watched(SpeechDataset):
    """Reports in a folder which process read, and with how many threads."""

    folder: Path

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        report = self.folder / str(os.getpid())
        if not report.exists():
            report.write_text(str(torch.get_num_threads()))
        return super().__getitems__(indices)


def test_workers_live_over_epochs_and_end_with_the_stream(
    dataset: SpeechDataset, tmp_path: Path
) -> None:
    watched = Watched(dataset.utterances, encode)
    watched.folder = tmp_path
    train = loader(watched, num_workers=2)
    stream = train.stream()
    contents(stream, train.total_steps(3))
    processes = list(tmp_path.iterdir())
    assert len(processes) == 2
    assert all(Path("/proc", process.name).exists() for process in processes)
    stream.close()  # type: ignore[attr-defined]
    gc.collect()
    assert not any(Path("/proc", process.name).exists() for process in processes)
    assert [process.read_text() for process in processes] == ["1", "1"]


def test_global_generators_are_left_alone(dataset: SpeechDataset) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    contents(loader(dataset, num_workers=1).stream(), 2)
    list(loader(dataset).pass_once())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


def test_steps_are_counted_exactly(dataset: SpeechDataset) -> None:
    train = loader(dataset)
    counted = 0
    for position, _ in train.stream():
        if position.epoch == 4:
            break
        counted += 1
    assert train.total_steps(4) == counted
    assert len(train) == train.n_batches(0)


def test_a_pass_delivers_each_utterance_once_longest_first(dataset: SpeechDataset) -> None:
    batches = [
        list(part.pass_once())
        for part in (loader(dataset, shuffle=False, rank=rank, world_size=3) for rank in range(3))
    ]
    ids = [u.id for share in batches for batch in share for u in batch.utterances]
    assert sorted(ids) == sorted(f"u{number}" for number in range(NUMBER) if number != 7)
    durations = [u.duration for batch in batches[0] for u in batch.utterances]
    assert durations == sorted(durations, reverse=True)


def test_padding_is_what_the_batches_hold(dataset: SpeechDataset) -> None:
    readable = SpeechDataset([u for u in dataset.utterances if u.id != "u7"], encode)
    train = loader(readable)
    batches = [batch.waveforms for _, batch in islice(train.stream(), len(train))]
    padded = sum(waveforms.data.numel() for waveforms in batches)
    filled = sum(int(waveforms.lengths.sum()) for waveforms in batches)
    assert train.padding() == pytest.approx(1 - filled / padded, abs=1e-3)


def test_what_cannot_be_delivered_is_refused(dataset: SpeechDataset) -> None:
    with pytest.raises(ConfigError, match="num_workers must not be negative, but is -1"):
        loader(dataset, num_workers=-1)
    with pytest.raises(ConfigError, match="max_batch_duration must be positive, but is 0"):
        loader(dataset, max_batch_duration=0)
    with pytest.raises(ManifestError, match="at least one utterance"):
        loader(SpeechDataset([], encode))
    with pytest.raises(ConfigError, match="a position must not be negative"):
        loader(dataset).stream(Position(0, -1))
    with pytest.raises(ConfigError, match=r"world_size must be at most 40, .* but is 41"):
        loader(dataset, world_size=41).stream()


def test_positions_are_ordered() -> None:
    places = [Position(1, 0), Position(0, 9), Position(0, 0), Position(1, 1)]
    assert sorted(places) == [Position(0, 0), Position(0, 9), Position(1, 0), Position(1, 1)]
