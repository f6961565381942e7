"""Items are what the files hold; a file that cannot be read is a failure, not an exception."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from deepspeech2.datasets.dataset import CACHE_KINDS, CacheKind, SpeechDataset, collate
from deepspeech2.errors import ConfigError
from deepspeech2.types import Failure, Sample, Utterance


def encode(text: str) -> list[int]:
    return [ord(character) for character in text]


@pytest.fixture
def noise(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A recording of 2 s, and its samples as 16-bit integers."""
    samples = np.random.default_rng(0).integers(-32768, 32768, 32000, dtype=np.int16)
    soundfile.write(tmp_path / "noise.flac", samples, 16000, subtype="PCM_16")
    return tmp_path / "noise.flac", samples


@pytest.mark.parametrize("cache", CACHE_KINDS)
def test_items_are_the_samples_of_the_file(
    noise: tuple[Path, np.ndarray], cache: CacheKind, tmp_path: Path
) -> None:
    path, samples = noise
    utterances = [
        Utterance("whole", path, 2.0, "ab"),
        Utterance("stretch", path, 0.5, None, offset=1.0),
        Utterance("start", path, 0.25, ""),
    ]
    dataset = SpeechDataset(utterances, encode, cache=cache, cache_dir=tmp_path / "cache")
    expected = [samples, samples[16000:24000], samples[:4000]]
    for _ in range(2):
        for index, (utterance, integers) in enumerate(zip(utterances, expected, strict=True)):
            item = dataset[index]
            assert isinstance(item, Sample)
            assert item.utterance is utterance
            assert item.waveform.dtype == torch.float32
            assert torch.equal(item.waveform, torch.from_numpy(integers / np.float32(32768)))
            assert item.labels.dtype == torch.int64
            assert item.labels.tolist() == encode(utterance.text or "")


def test_a_cached_item_outlives_its_file(noise: tuple[Path, np.ndarray]) -> None:
    utterances = [Utterance("whole", noise[0], 2.0)]
    cached = SpeechDataset(utterances, encode, cache="memory")
    plain = SpeechDataset(utterances, encode)
    before = cached[0], plain[0]
    noise[0].unlink()
    after = cached[0], plain[0]
    assert isinstance(before[0], Sample)
    assert isinstance(after[0], Sample)
    assert torch.equal(before[0].waveform, after[0].waveform)
    assert isinstance(after[1], Failure)


@pytest.mark.parametrize("cache", CACHE_KINDS)
def test_unreadable_audio_is_a_failure_that_names_the_file(
    tmp_path: Path, cache: CacheKind
) -> None:
    (tmp_path / "text.flac").write_text("no audio")
    missing = Utterance("missing", tmp_path / "missing.flac", 1.0, "ab")
    no_audio = Utterance("no_audio", tmp_path / "text.flac", 1.0, "ab")
    dataset = SpeechDataset([missing, no_audio], encode, cache=cache, cache_dir=tmp_path / "cache")
    for index, utterance in enumerate((missing, no_audio)):
        item = dataset[index]
        assert isinstance(item, Failure)
        assert item.utterance is utterance
        assert str(utterance.audio) in item.reason


@pytest.mark.parametrize("cache", CACHE_KINDS)
def test_a_batch_is_its_items_put_together(
    noise: tuple[Path, np.ndarray], cache: CacheKind, tmp_path: Path
) -> None:
    utterances = [
        Utterance("short", noise[0], 0.3, "abc"),
        Utterance("missing", tmp_path / "missing.flac", 1.0, "ab"),
        Utterance("silent", noise[0], 0.7, None, offset=0.2),
        Utterance("whole", noise[0], 2.0, "a"),
    ]
    dataset = SpeechDataset(utterances, encode, cache=cache, cache_dir=tmp_path / "cache")
    for indices in ([3, 0, 1, 2], [1], [0, 0], []):
        batch, expected = dataset.__getitems__(indices), collate([dataset[i] for i in indices])
        assert batch.utterances == expected.utterances
        assert batch.failures == expected.failures
        for ours, theirs in (
            (batch.waveforms, expected.waveforms),
            (batch.labels, expected.labels),
        ):
            assert ours.data.dtype == theirs.data.dtype
            assert torch.equal(ours.data, theirs.data)
            assert torch.equal(ours.lengths, theirs.lengths)


def test_errors_of_the_program_are_raised(noise: tuple[Path, np.ndarray]) -> None:
    def refuse(text: str) -> list[int]:
        raise KeyError(text)

    with pytest.raises(KeyError):
        SpeechDataset([Utterance("whole", noise[0], 2.0, "ab")], refuse)[0]


def test_it_travels_to_another_process(noise: tuple[Path, np.ndarray]) -> None:
    dataset = SpeechDataset([Utterance("whole", noise[0], 2.0, "ab")], encode, cache="memory")
    copy = pickle.loads(pickle.dumps(dataset))
    assert len(copy) == len(dataset) == 1
    assert torch.equal(copy[0].waveform, dataset[0].waveform)  # type: ignore[union-attr]


def test_sample_rate_is_kept_and_checked(noise: tuple[Path, np.ndarray]) -> None:
    item = SpeechDataset([Utterance("whole", noise[0], 2.0)], encode, sample_rate=8000)[0]
    assert isinstance(item, Sample)
    assert len(item.waveform) == 16000
    with pytest.raises(ConfigError, match="sample_rate must be positive, but is 0"):
        SpeechDataset([], encode, sample_rate=0)


def test_a_cache_is_one_of_three_and_has_a_place() -> None:
    with pytest.raises(ConfigError, match="cache must be one of none, memory, disk, but is 'ram'"):
        SpeechDataset([], encode, cache="ram")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cache_dir must name a folder"):
        SpeechDataset([], encode, cache="disk")
