"""Normalised features have the statistics that they should, padding left out."""

from __future__ import annotations

import pytest
import torch

from deepspeech2.errors import ConfigError
from deepspeech2.seeding import generator
from deepspeech2.transforms import (
    FeatureStatistics,
    GlobalNormalization,
    NoNormalization,
    UtteranceNormalization,
)
from deepspeech2.types import Padded


def features(*lengths: int, n_features: int = 5) -> Padded:
    random = generator("cpu", 3, *lengths)
    scale = torch.linspace(0.1, 3.0, n_features)
    return Padded.stack(
        [torch.randn(length, n_features, generator=random) * scale - 12 for length in lengths]
    )


def test_each_feature_of_an_utterance_is_standard() -> None:
    batch = features(50, 20, 7)
    output = UtteranceNormalization()(batch)
    assert not output.data[~output.mask()].any()
    for before, after in zip(batch.unpad(), output.unpad(), strict=True):
        expected = (before - before.mean(0)) / before.std(0, correction=0)
        torch.testing.assert_close(after, expected, atol=1e-3, rtol=1e-3)


def test_one_pair_for_the_utterance() -> None:
    batch = features(50, 20)
    output = UtteranceNormalization(per_feature=False)(batch)
    for before, after in zip(batch.unpad(), output.unpad(), strict=True):
        expected = (before - before.mean()) / before.std(correction=0)
        torch.testing.assert_close(after, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("per_feature", [True, False])
def test_alone_as_in_a_batch(per_feature: bool) -> None:
    normalize = UtteranceNormalization(per_feature=per_feature)
    batch = features(60, 31, 2, 1)
    garbage = torch.where(batch.mask()[..., None], batch.data, torch.tensor(1e4))
    together = normalize(Padded(garbage, batch.lengths)).unpad()
    for item, row in zip(batch.unpad(), together, strict=True):
        torch.testing.assert_close(normalize(Padded.stack([item])).data[0], row, atol=1e-5, rtol=0)


def test_a_constant_feature_becomes_zero() -> None:
    batch = features(1000, 333)
    batch.data[:, :, 2] = torch.tensor(1e-6).log()
    assert not UtteranceNormalization()(batch).data[:, :, 2].any()


def test_an_utterance_without_frames_gives_no_nan() -> None:
    batch = Padded(torch.zeros(2, 3, 4), torch.tensor([3, 0]))
    assert UtteranceNormalization()(batch).data.isfinite().all()


def test_statistics_equal_those_of_all_frames_at_once() -> None:
    batches = [features(40, 3), features(9), Padded(torch.zeros(1, 4, 5), torch.tensor([0]))]
    statistics = FeatureStatistics()
    for batch in batches:
        statistics.update(batch)
    frames = torch.cat([item for batch in batches for item in batch.unpad()])
    mean, std = statistics.result()
    assert statistics.count == 52
    torch.testing.assert_close(mean, frames.mean(0))
    torch.testing.assert_close(std, frames.std(0, correction=0))


def test_global_normalization_is_kept_in_the_state() -> None:
    batch = features(40, 3)
    fitted = GlobalNormalization()
    assert not fitted.fitted
    fitted.fit([batch])
    output = fitted(batch)
    frames = torch.cat(output.unpad())
    torch.testing.assert_close(frames.mean(0), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(frames.std(0, correction=0), torch.ones(5), atol=1e-3, rtol=0)
    assert not output.data[~output.mask()].any()
    loaded = GlobalNormalization()
    loaded.load_state_dict(fitted.state_dict())
    torch.testing.assert_close(loaded(batch).data, output.data)
    given = GlobalNormalization(fitted.mean.tolist(), fitted.std.tolist())
    torch.testing.assert_close(given(batch).data, output.data)


def test_loading_does_not_change_the_saved_state() -> None:
    state = GlobalNormalization([1.0, 2.0], [1.0, 1.0]).state_dict()
    loaded = GlobalNormalization()
    loaded.load_state_dict(state)
    loaded.mean.zero_()
    assert state["mean"].tolist() == [1.0, 2.0]


def test_errors_of_global_normalization() -> None:
    batch = features(4)
    with pytest.raises(ConfigError, match="must be fitted or loaded"):
        GlobalNormalization()(batch)
    with pytest.raises(ConfigError, match="must be given together"):
        GlobalNormalization([0.0])
    with pytest.raises(ConfigError, match=r"len\(std\) must be len\(mean\) \(2\), but is 1"):
        GlobalNormalization([0.0, 1.0], [1.0])
    with pytest.raises(ConfigError, match=r"len\(mean\) must be 5, but is 2"):
        GlobalNormalization([0.0, 1.0], [1.0, 1.0])(batch)
    with pytest.raises(ConfigError, match="at least one frame"):
        GlobalNormalization().fit([])
    with pytest.raises(ConfigError, match="eps must be positive, but is 0"):
        UtteranceNormalization(eps=0)


def test_no_normalization() -> None:
    batch = features(4, 2)
    assert NoNormalization()(batch) is batch
