"""The fit finds what made the data, and checkpoints of any age can be read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from deepspeech2 import checkpoint
from deepspeech2.decoding import GreedyDecoder, Word
from deepspeech2.errors import CheckpointError, ConfigError, ManifestError
from deepspeech2.extras.calibration.fit import Judgement, fit, scale
from deepspeech2.extras.calibration.report import Calibrated
from deepspeech2.inference.calibration import (
    KEY,
    Calibration,
    RawConfidence,
    log_odds,
    restored,
    stored,
    surety,
)
from deepspeech2.inference.summary import Rejections
from deepspeech2.metrics.calibration import bins, calibration_error
from deepspeech2.settings import CalibratorSettings, InferencerSettings
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis

GREEDY = GreedyDecoder(TextEncoder())


def made(temperature: float, bias: float, number: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and whether each word is right, under a known calibration."""
    draw = np.random.default_rng(7)
    raw = 1 / (1 + np.exp(-draw.normal(1.0, 2.0, number)))
    return raw, draw.uniform(size=number) < Calibration(temperature, bias)(raw)


def utterances(raw: np.ndarray, right: np.ndarray, size: int = 10) -> list[Judgement]:
    return [
        Judgement(f"s{index % 40}", 1, size, tuple(raw[start : start + size].tolist()),
               tuple(right[start : start + size].tolist()))
        for index, start in enumerate(range(0, len(raw), size))
    ]  # fmt: skip


def test_a_known_temperature_is_recovered() -> None:
    raw, right = made(2.5, 0.0)
    assert scale(raw, right, bias=False).temperature == pytest.approx(2.5, rel=0.03)
    found = fit(utterances(raw, right))
    assert found.chosen.temperature == pytest.approx(2.5, rel=0.03)
    assert found.chosen.bias == pytest.approx(0, abs=0.05)
    before = calibration_error(bins(raw, right))
    assert calibration_error(bins(found.held_out, right)) < 0.01 < 0.1 < before


def test_a_known_bias_is_recovered_and_chosen() -> None:
    raw, right = made(0.7, -1.5)
    found = fit(utterances(raw, right))
    assert found.chosen.temperature == pytest.approx(0.7, rel=0.03)
    assert found.chosen.bias == pytest.approx(-1.5, abs=0.05)
    assert found.losses["with bias"] < found.losses["temperature"] < found.losses["raw"]


@pytest.mark.parametrize("bias", [False, True])
def test_the_fit_is_the_maximum_that_scipy_finds(bias: bool) -> None:
    raw, right = made(1.7, 0.8, 300)
    hits = right.sum()
    targets = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def cost(weights: np.ndarray) -> float:
        scores = weights[0] * log_odds(raw) + (weights[1] if bias else 0)
        return float((np.logaddexp(0, scores) - targets * scores).sum())

    best = minimize(cost, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    found = scale(raw, right, bias=bias)
    assert 1 / found.temperature == pytest.approx(best.x[0], abs=1e-4)
    assert found.bias == pytest.approx(best.x[1] if bias else 0.0, abs=1e-4)


def test_degenerate_data_have_an_answer() -> None:
    raw = np.linspace(0.2, 0.9, 50)
    perfect = scale(raw, np.ones(50, bool), bias=True)
    assert perfect(raw).min() > 0.9
    misleading = scale(raw, raw < 0.5, bias=True)  # the surer, the more wrong
    assert misleading.temperature == pytest.approx(100)
    assert np.ptp(misleading(raw)) < 0.02
    with pytest.raises(ManifestError, match="3 utterances with words are too few"):
        fit(utterances(*made(1, 0, 30)))
    few_speakers = [Judgement("s", 0, 1, (0.5,), (True,))] * 5
    assert fit(few_speakers).held_out.shape == (5,)


def test_speakers_are_not_split() -> None:
    """What one speaker teaches must not be told of the same speaker."""
    wrong = Judgement("odd", 50, 50, (0.99,) * 50, (False,) * 50)
    others = [Judgement(f"s{i}", 0, 50, (0.99, 0.98) * 25, (True,) * 50) for i in range(9)]
    told = fit([wrong, wrong, *others]).held_out
    assert told[:100].min() > 0.95


def test_identity_extremes_and_utterances() -> None:
    values = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(Calibration(1.0)(values), values)
    assert np.isfinite(log_odds([0.0, 1.0])).all()
    words = (Word("a", 0, 1, 0.2), Word("b", 1, 2, 0.8))
    one = Calibration(2.0, 0.5)
    told = one.words(words)
    assert [word.confidence for word in told] == pytest.approx(one([0.2, 0.8]).tolist())
    assert [(word.word, word.start, word.end) for word in told] == [("a", 0, 1), ("b", 1, 2)]
    assert one.utterance(Hypothesis("a b", 0.0), told) == pytest.approx(one([0.2, 0.8]).mean())
    assert one.utterance(Hypothesis("", 0.0), one.words(())) == 0.0


def test_checkpoints_of_any_age(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "model.pth"
    old = {"recipe": {}, "state_dict": {}}
    checkpoint.save(old, path)
    raw = restored(checkpoint.load(path), path, GREEDY)
    assert isinstance(raw, RawConfidence)
    words = (Word("a", 0, 1, 0.2),)
    assert raw.words(words) == words
    assert raw.utterance(Hypothesis("a", 0.0, (2,), (0,), (0.2,)), words) == pytest.approx(0.2)

    one = Calibration(1.25, -0.5)
    checkpoint.save({**old, KEY: {GREEDY.name: stored(one, GREEDY)}}, path)
    assert restored(checkpoint.load(path), path, GREEDY) == one
    other = SimpleNamespace(name="BeamSearch", settings={"beam_size": 10})
    assert isinstance(restored(checkpoint.load(path), path, other), RawConfidence)  # type: ignore[arg-type]
    assert not caplog.records

    tuned = SimpleNamespace(name="LM", settings={"lm_weight": 0.5, "nbest": 3})
    content = {KEY: {"LM": stored(one, tuned)}}  # type: ignore[arg-type]
    tuned.settings = {"lm_weight": 0.7, "nbest": 9}
    assert restored(content, path, tuned) == one  # type: ignore[arg-type]
    assert "lm_weight=0.5 (now 0.7): run deepspeech2 calibrate again" in caplog.text


def test_a_prior_that_came_after_the_fit_is_told(caplog: pytest.LogCaptureFixture) -> None:
    decoder = SimpleNamespace(name="LM", settings={"lm_weight": 0.5, "prior_weight": 0.0})
    before = stored(Calibration(1.0), SimpleNamespace(name="LM", settings={"lm_weight": 0.5}))  # type: ignore[arg-type]
    restored({KEY: {"LM": before}}, Path("m.pth"), decoder)  # type: ignore[arg-type]
    assert not caplog.records
    decoder.settings["prior_weight"] = 0.6
    restored({KEY: {"LM": before}}, Path("m.pth"), decoder)  # type: ignore[arg-type]
    assert "prior_weight=0.0 (now 0.6): run deepspeech2 calibrate again" in caplog.text


def test_another_prior_of_the_same_weight_is_told(caplog: pytest.LogCaptureFixture) -> None:
    options = {"prior_weight": 0.5, "prior": [0.5, 0.5]}
    decoder = SimpleNamespace(name="LM", settings=options)
    before = stored(Calibration(1.0), decoder)  # type: ignore[arg-type]
    restored({KEY: {"LM": before}}, Path("m.pth"), decoder)  # type: ignore[arg-type]
    assert not caplog.records
    decoder.settings = options | {"prior": [0.6, 0.4]}
    restored({KEY: {"LM": before}}, Path("m.pth"), decoder)  # type: ignore[arg-type]
    assert "calibrated with another prior: run deepspeech2 calibrate again" in caplog.text
    without = SimpleNamespace(name="LM", settings={"prior_weight": 0.0, "prior": [0.5, 0.5]})
    assert "prior" not in stored(Calibration(1.0), without)["decoder"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "broken",
    [3, {"temperature": 0, "bias": 0}, {"temperature": 1}, {"temperature": "x", "bias": 0},
     {"temperature": 1, "bias": float("nan")}],
)  # fmt: skip
def test_what_is_no_calibration_is_refused(broken: Any) -> None:
    with pytest.raises(CheckpointError, match=r"m.pth contains no calibration of Argmax"):
        restored({KEY: {"Argmax": broken}}, Path("m.pth"), GREEDY)


def test_the_gate_counts() -> None:
    gate = Rejections(0.5)
    assert gate.judge("a b", "a b", 0.5) == {"rejected": False}
    assert gate.judge("a c", "a b", 0.49) == {"rejected": True}
    assert gate.judge("x", None, 0.9) == {"rejected": False}
    assert gate.summary() == (
        "1 of 3 rejected, with a confidence below 0.5; accepted: 1 with 50.0 % of the words, WER"
        " 0.00 % (all: 25.00 %)"
    )
    assert Rejections(None).judge("a", "b", 0.0) == {}
    unknown = Rejections(0.5)
    unknown.judge("a", None, 0.1)
    assert unknown.summary() == "1 of 1 rejected, with a confidence below 0.5"
    unknown.judge("a", "a", 0.1)
    assert unknown.summary().endswith("; nothing accepted has a reference")


def test_coverage_and_wer() -> None:
    heard = [
        Judgement("s", 0, 2, (0.9, 0.9), (True, True)),
        Judgement("s", 3, 2, (0.4,), (False,)),
        Judgement("s", 4, 4, (), ()),
    ]
    measured = Calibrated(heard, np.array([0.8, 1.0, 0.2]))
    assert measured.utterances() == pytest.approx([0.9, 0.2, 0.0])
    assert measured.accepted(0.0) == pytest.approx((3, 1.0, 7 / 8))
    assert measured.accepted(0.1) == pytest.approx((2, 0.5, 3 / 4))
    assert measured.accepted(0.95) == (0, 0.0, 0.0)


@pytest.mark.parametrize("value", [True, -0.1, 1.1, "0.5"])
def test_reject_below_is_a_probability(value: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"inferencer\.reject_below must be a number from 0 to 1 or null"
    ):
        InferencerSettings("a.pth", "a", reject_below=value)
    with pytest.raises(
        ConfigError, match=r"calibrator\.reject_below must be a list, each value a number"
    ):
        CalibratorSettings(reject_below=[value])


def test_speech_unlike_that_of_the_fit_is_told() -> None:
    """A shift is told where it is large and no chance; what is alike is passed over."""
    raw, right = made(2.0, 0.5)
    judged = utterances(raw, right)
    found = fit(judged).chosen
    assert found.seen is not None
    alike = [surety(found(each.confidences).tolist()) or 0.0 for each in judged]
    assert found.unlike(alike) == ""
    lower = [value - 1.5 * found.seen[1] for value in alike]
    assert "1.5 deviations below" in found.unlike(lower)
    assert "1.5 deviations above" in found.unlike([2 * found.seen[0] - value for value in lower])
    few = 3 * [found.seen[0] - 1.5 * found.seen[1]]
    assert found.unlike(few) == ""  # which may be chance
    assert found.unlike([value - 0.5 * found.seen[1] for value in alike]) == ""
    assert Calibration(2.0, 0.5).unlike(lower) == RawConfidence().unlike(lower) == ""
    content = {KEY: {GREEDY.name: stored(found, GREEDY)}}
    assert restored(content, Path("a.pth"), GREEDY) == found
