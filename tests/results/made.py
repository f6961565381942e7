"""Rows that nobody measured, for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leaderboard.rows import LanguageModel, Machine, Rate, Result, Training


def rate(value: float, words: int = 1000) -> Rate:
    wrong = round(value * words)
    rates = (round(share * value, 6) for share in (1, 0.9, 1.1))
    return Rate(*rates, wrong, 0, 0, words)


def result(hours: float = 2.0, wer: float = 0.5, **changes: Any) -> Result:
    made = Result(
        recipe=f"hours_{hours:g}",
        command=f"python train.py -cn=librispeech_8h datasets.train.hours={hours:g}",
        evaluation="python inference.py -cn=inference",
        training=Training(
            corpus="librispeech/train-clean-100",
            utterances=round(290 * hours),
            hours=hours,
            took_hours=1.25,
            machine=Machine("AMD EPYC", 2, None),
            epochs=30,
            seed=1,
            weights="moving average",
            started_from=None,
        ),
        model="DeepSpeech2",
        parameters=1_700_000,
        decoder="Argmax",
        decoder_options={},
        language_model=None,
        test_set="test-clean-35m",
        utterances=240,
        unreadable=0,
        wer=rate(wer),
        cer=rate(wer / 3),
        date="2026-01-02",
        checkpoint_sha256=f"{hours:g}".rjust(64, "0"),
        transcripts_sha256="f" * 64,
        versions={"python": "3.11.7", "torch": "2.11.0"},
        curves=[],
    )
    return replace(made, **changes)


BEAM = {
    "decoder": "BeamSearchLM",
    "decoder_options": {"beam_size": 50, "lm": "own.arpa"},
    "language_model": LanguageModel("own.arpa", 188_000_000, 246.9),
}
