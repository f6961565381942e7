from __future__ import annotations

import math

import pytest
import torch

from deepspeech2.decoding import GreedyDecoder
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis, Padded
from tests.decoding.ctc_oracle import collapse, starts


def test_agrees_with_a_loop(device: torch.device) -> None:
    random = torch.Generator().manual_seed(0)
    # Few tokens make runs, and blanks between equal labels.
    data = (2 * torch.randn(16, 40, 4, generator=random)).log_softmax(-1)
    lengths = torch.randint(0, 41, (16,), generator=random)
    batch = Padded(data, lengths)
    found = GreedyDecoder(TextEncoder("ab "))(batch.to(device))
    for [hypothesis], frames in zip(found, batch.unpad(), strict=True):
        path = tuple(max(range(4), key=row.__getitem__) for row in frames.tolist())
        assert hypothesis.labels == collapse(path)
        assert hypothesis.frames == starts(path)
        text = "".join("?ab "[label] for label in hypothesis.labels)
        assert hypothesis.text == " ".join(text.split())
        score = sum(row[token] for row, token in zip(frames.tolist(), path, strict=True))
        assert hypothesis.score == pytest.approx(score, rel=1e-5)
        expected = [math.exp(max(frames[frame].tolist())) for frame in hypothesis.frames]
        assert hypothesis.confidences == pytest.approx(expected, rel=1e-5)


def test_alone_as_in_a_batch() -> None:
    random = torch.Generator().manual_seed(1)
    batch = Padded(
        torch.randn(5, 30, 29, generator=random).log_softmax(-1), torch.tensor([30, 1, 0, 17, 29])
    )
    decoder = GreedyDecoder(TextEncoder())
    for found, frames in zip(decoder(batch), batch.unpad(), strict=True):
        alone = decoder(Padded(frames[None], torch.tensor([len(frames)])))[0]
        assert (alone[0].labels, alone[0].frames) == (found[0].labels, found[0].frames)
        assert alone[0].score == pytest.approx(found[0].score)


def test_nothing_to_decode() -> None:
    decoder = GreedyDecoder(TextEncoder("abc"))
    assert decoder(Padded(torch.zeros(0, 5, 4), torch.zeros(0, dtype=torch.int64))) == []
    empty = Padded(torch.zeros(2, 0, 4), torch.zeros(2, dtype=torch.int64))
    assert decoder(empty) == [[Hypothesis("", 0.0)]] * 2
    assert decoder.settings == {}
