"""The front end: order, generators, autocast, state, lengths."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
import torch

from deepspeech2.seeding import generator
from deepspeech2.transforms import (
    BandPassFilter,
    ColoredNoise,
    FrontEnd,
    Gain,
    GlobalNormalization,
    HighPassFilter,
    LogMelSpectrogram,
    LowPassFilter,
    OneOf,
    RandomApply,
    SpecAugment,
    SpeedPerturbation,
    UtteranceNormalization,
)
from deepspeech2.transforms.feature_normalization import leveled
from deepspeech2.types import Padded


def recipe() -> list[object]:
    filters = [
        LowPassFilter(500, 1500),
        HighPassFilter(500, 1500),
        BandPassFilter(1000, 2000, 1.5, 1.99),
    ]
    return [
        RandomApply(Gain(-6, 6), 0.5),
        RandomApply(ColoredNoise(5, 25), 0.5),
        OneOf(filters, 0.5),
        SpeedPerturbation(),
    ]


def batch_of(*lengths: int) -> Padded:
    random = generator("cpu", 6, *lengths)
    return Padded.stack([torch.randn(length, generator=random) * 0.1 for length in lengths])


def test_augments_only_with_a_generator() -> None:
    features, normalization = LogMelSpectrogram(n_mels=40), UtteranceNormalization()
    front_end = FrontEnd(features, normalization, recipe(), [SpecAugment()])
    batch = batch_of(16000, 9000)
    plain = front_end(batch)
    assert torch.equal(plain.data, normalization(features(leveled(batch, -25.0))).data)
    first, again, other = (front_end(batch, generator("cpu", seed)) for seed in (1, 1, 2))
    assert torch.equal(first.data, again.data)
    assert first.data.shape != other.data.shape or not torch.equal(first.data, other.data)
    assert not torch.equal(first.lengths, plain.lengths)


@pytest.mark.parametrize("decibels", [-90, -60, -40, -20, 20, 60])
def test_the_level_of_a_recording_does_not_matter(decibels: int) -> None:
    front_end = FrontEnd(LogMelSpectrogram(n_mels=40), UtteranceNormalization())
    batch = batch_of(16000, 9000)
    quiet = Padded(batch.data * 10 ** (decibels / 20), batch.lengths)
    torch.testing.assert_close(front_end(quiet).data, front_end(batch).data, rtol=0, atol=2e-3)
    if decibels <= -60:
        plain = FrontEnd(LogMelSpectrogram(n_mels=40), UtteranceNormalization(level=None))
        assert not torch.allclose(plain(quiet).data, plain(batch).data, atol=2e-2)


def test_a_level_is_an_utterances_own() -> None:
    """The same alone and in a batch, whatever stands beside it; silence stays silence."""
    batch = batch_of(16000, 9000, 400)
    batch.data[2] = 0
    together = leveled(batch, -25.0)
    for row, length in enumerate(batch.lengths.tolist()):
        alone = leveled(
            Padded(batch.data[row : row + 1, :length], batch.lengths[row : row + 1]), -25.0
        )
        assert torch.equal(alone.data[0], together.data[row, :length])
    powers = together.data.square().sum(1) / together.lengths
    torch.testing.assert_close(10 * powers.log10(), torch.tensor([-25.0, -25.0, -torch.inf]))


def test_augment_gives_the_waveforms_behind_the_features() -> None:
    front_end = FrontEnd(LogMelSpectrogram(n_mels=40), waveform_transforms=recipe())
    batch = batch_of(16000, 9000, 12000)
    heard = front_end.augment(batch, generator("cpu", 1))
    seen = front_end(batch, generator("cpu", 1))
    assert torch.equal(front_end(heard).data, seen.data)
    assert not heard.data[~heard.mask()].any()


def test_what_the_padding_holds_does_not_matter() -> None:
    front_end = FrontEnd(
        LogMelSpectrogram(n_mels=40), UtteranceNormalization(), recipe(), [SpecAugment()]
    )
    batch = batch_of(16000, 9000, 400)
    garbage = Padded(torch.where(batch.mask(), batch.data, torch.tensor(3.0)), batch.lengths)
    for random in (None, 1):
        ours, theirs = (
            front_end(each, None if random is None else generator("cpu", random))
            for each in (batch, garbage)
        )
        torch.testing.assert_close(ours.data, theirs.data, atol=1e-6, rtol=0)
        assert not ours.data[~ours.mask()].any()
        assert ours.data.isfinite().all()


def test_float32_under_autocast_and_without_gradients() -> None:
    front_end = FrontEnd(LogMelSpectrogram(n_mels=40), UtteranceNormalization(), recipe())
    batch = batch_of(8000)
    expected = front_end(batch, generator("cpu", 1))
    heard = front_end.augment(batch, generator("cpu", 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = front_end(batch, generator("cpu", 1))
        assert torch.equal(front_end.augment(batch, generator("cpu", 1)).data, heard.data)
    assert output.data.dtype == torch.float32
    assert torch.equal(output.data, expected.data)
    leaf = Padded(batch.data.clone().requires_grad_(), batch.lengths)
    assert not front_end(leaf).data.requires_grad


def test_lengths() -> None:
    front_end = FrontEnd(
        LogMelSpectrogram(n_mels=40), waveform_transforms=[RandomApply(SpeedPerturbation(), 0.5)]
    )
    samples = torch.tensor([16000, 9001, 100])
    assert (front_end.n_features, front_end.sample_rate) == (40, 16000)
    assert front_end.seconds_per_frame == pytest.approx(0.0125)
    assert front_end.output_lengths(samples).tolist() == [81, 46, 1]
    fewest = front_end.fewest_frames(samples)
    assert fewest.tolist() == [73, 41, 1]
    drawn = [
        front_end(batch_of(*samples.tolist()), generator("cpu", seed)).lengths for seed in range(20)
    ]
    assert torch.equal(torch.stack(drawn).amin(0), fewest)
    longest = front_end.lengthened(batch_of(*samples.tolist()))
    assert longest.data.shape == (3, 17778)
    assert not longest.data[~batch_of(*longest.lengths.tolist()).mask()].any()
    assert torch.equal(front_end(longest).lengths, torch.stack(drawn).amax(0))


def test_state_holds_statistics_and_nothing_else() -> None:
    assert not FrontEnd(LogMelSpectrogram(), UtteranceNormalization(), recipe()).state_dict()
    front_end = FrontEnd(LogMelSpectrogram(n_mels=40), GlobalNormalization())
    batch = batch_of(16000, 9000)
    front_end.fit([batch])
    assert set(front_end.state_dict()) == {"normalization.mean", "normalization.std"}
    loaded = FrontEnd(LogMelSpectrogram(n_mels=40), GlobalNormalization())
    loaded.load_state_dict(front_end.state_dict())
    assert torch.equal(loaded(batch).data, front_end(batch).data)
    frames = torch.cat(loaded(batch).unpad())
    torch.testing.assert_close(frames.mean(0), torch.zeros(40), atol=1e-3, rtol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_nothing_waits() -> None:
    front_end = FrontEnd(
        LogMelSpectrogram(n_mels=40), UtteranceNormalization(), recipe(), [SpecAugment()]
    ).to("cuda")
    batch = batch_of(16000, 9000).to("cuda")
    random = generator("cuda", 1)
    front_end(batch, random)
    torch.cuda.set_sync_debug_mode("error")
    try:
        augmented = front_end(batch, random)
        plain = front_end(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert augmented.data.isfinite().all()
    expected = front_end.to("cpu")(batch.to("cpu"))
    torch.testing.assert_close(plain.data.cpu(), expected.data, atol=1e-3, rtol=1e-3)


def test_real_speech_keeps_its_words_apart_from_silence(speech_data: Path) -> None:
    path = next((speech_data / "LibriSpeech" / "test-clean-35m").rglob("*.flac"))
    samples, rate = soundfile.read(path, dtype="float32")
    waveforms = Padded.stack([torch.from_numpy(samples)])
    front_end = FrontEnd(LogMelSpectrogram(sample_rate=rate), UtteranceNormalization(), recipe())
    output = front_end(waveforms, generator("cpu", 1))
    frames = output.unpad()[0]
    varying = frames.std(0) > 0
    assert float(varying.double().mean()) > 0.7
    torch.testing.assert_close(
        frames[:, varying].std(0, correction=0),
        torch.ones(int(varying.sum())),
        atol=1e-3,
        rtol=0,
    )
    loudness = frames.mean(1)
    assert loudness.max() - loudness.min() > 1.0
