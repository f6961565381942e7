"""The shares of several ranks are the whole."""

from __future__ import annotations

from deepspeech2.evaluation import Evaluation
from deepspeech2.metrics import CorpusScore

PAIRS = [("a b c", "a b"), ("d", "d"), ("e f", "x f g"), ("h", "")]


def test_shares_add_up_to_the_whole() -> None:
    whole = Evaluation({"Argmax": CorpusScore.from_pairs(PAIRS)}, 12.0, 8.0)
    shares = [
        Evaluation({"Argmax": CorpusScore.from_pairs(PAIRS[:1])}, 3.0, 3.0),
        Evaluation({"Argmax": CorpusScore()}),
        Evaluation({"Argmax": CorpusScore.from_pairs(PAIRS[1:])}, 9.0, 5.0),
    ]
    assert Evaluation.merged(shares).values() == whole.values()
    assert Evaluation.merged(shares[1:2]).values() == {}
    shares[1].complete = False
    assert not Evaluation.merged(shares).complete
