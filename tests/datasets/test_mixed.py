"""Several corpora in one: shares as asked, everything seen before anything comes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset

from deepspeech2.audio.reading import read_utterance
from deepspeech2.config.loaders import corpora, map_corpora
from deepspeech2.datasets import Corpus, Exclusion, MixedCorpus
from deepspeech2.datasets.bucketing import BucketBatchSampler
from deepspeech2.datasets.mixed import EpochDraw, Share, apart
from deepspeech2.errors import ConfigError
from deepspeech2.types import Utterance
from tests.toy import RATE, write_corpus

SECONDS = st.floats(min_value=0.5, max_value=30.0)


@st.composite
def draws(make: st.DrawFn) -> EpochDraw:
    """One to three corpora of 1 to 40 utterances, each with any seconds in an epoch."""
    corpora = make(st.lists(st.lists(SECONDS, min_size=1, max_size=40), min_size=1, max_size=3))
    shares = [
        Share(f"corpus{number}", len(each), make(st.floats(0.1, 400.0)))
        for number, each in enumerate(corpora)
    ]
    longest = max(corpora[0])
    shares[0] = Share("corpus0", len(corpora[0]), max(shares[0].seconds, longest + 0.1))
    return EpochDraw([one for each in corpora for one in each], shares, make(st.integers(0, 9)))


def of_corpora(draw: EpochDraw) -> list[np.ndarray]:
    """Seconds of each corpus' utterances."""
    return np.split(draw.durations, np.cumsum([share.number for share in draw.shares])[:-1])


@settings(max_examples=150)
@given(draws())
def test_every_corpus_has_its_seconds_to_less_than_an_utterance(draw: EpochDraw) -> None:
    totals = np.zeros(len(draw.shares))
    for epoch in range(6):
        totals += [
            durations[indices].sum()
            for durations, indices in zip(of_corpora(draw), draw.by_corpus(epoch), strict=True)
        ]
        for total, share, durations in zip(totals, draw.shares, of_corpora(draw), strict=True):
            assert abs(total - (epoch + 1) * share.seconds) <= durations.max() + 1e-3


@settings(max_examples=150)
@given(draws())
def test_nothing_comes_again_before_all_have_come(draw: EpochDraw) -> None:
    seen: list[Counter[int]] = [Counter() for _ in draw.shares]
    for epoch in range(6):
        for counts, share, indices in zip(seen, draw.shares, draw.by_corpus(epoch), strict=True):
            for index in indices.tolist():
                counts[index] += 1
                fewest = min(counts[each] for each in range(share.number))
                assert counts[index] <= fewest + 1


@settings(max_examples=60)
@given(draws(), st.integers(2, 5))
def test_a_draw_depends_on_seed_and_epoch_alone(draw: EpochDraw, ranks: int) -> None:
    again = EpochDraw(draw.durations, draw.shares, draw.seed)
    for epoch in (4, 0, 2):  # in any order
        drawn = draw(epoch)
        assert drawn.tolist() == again(epoch).tolist()
        options = {"max_batch_duration": 60.0, "seed": draw.seed, "draw": draw}
        samplers = [
            BucketBatchSampler(draw.durations, rank=rank, world_size=ranks, **options)
            for rank in range(ranks)
        ]
        alone = BucketBatchSampler(draw.durations, **options)
        assert alone.n_batches(epoch) == len(alone.batches(epoch))
        assert Counter(np.concatenate(alone.batches(epoch)).tolist()) == Counter(drawn.tolist())
        shares = [each.batches(epoch) for each in samplers]
        assert {len(each) for each in shares} == {samplers[0].n_batches(epoch)}
        together = Counter(i for share in shares for batch in share for i in batch.tolist())
        # fewer only where batches of single utterances cannot be divided among the ranks
        left_out = Counter(drawn.tolist()) - together
        assert not together - Counter(drawn.tolist())
        assert left_out.total() < ranks
        assert (
            len(drawn) <= ranks
            or not left_out
            or all(len(batch) == 1 for share in shares for batch in share)
        )


def test_a_large_corpus_is_walked_through_and_a_small_one_repeats() -> None:
    """1,000 h and 10 h, half an epoch of 20 h each: what a fixed choice of 10 h never has."""
    large, small = np.full(36_000, 100.0), np.full(3_600, 10.0)
    shares = [Share("large", len(large), 36_000.0), Share("small", len(small), 36_000.0)]
    draw = EpochDraw(np.concatenate([large, small]), shares, seed=1)
    seen = np.zeros(len(large) + len(small), int)
    for epoch in range(100):
        drawn = draw(epoch)
        seconds = draw.durations[drawn]
        assert abs(seconds[drawn < len(large)].sum() / seconds.sum() - 0.5) < 0.01
        np.add.at(seen, drawn, 1)
    assert (seen[: len(large)] == 1).all()
    assert (seen[len(large) :] == 100).all()
    assert draw(0).tolist() != draw(100).tolist()  # the next pass has an order of its own
    other = EpochDraw(draw.durations, shares, seed=2)
    assert other(0).tolist() != draw(0).tolist()


def test_an_epoch_without_an_utterance_is_refused() -> None:
    with pytest.raises(ConfigError, match="an epoch of 2 s is shorter than an utterance"):
        EpochDraw([3.0, 4.0], [Share("a", 2, 2.0)], seed=0)


def test_a_corpus_of_next_to_nothing_is_not_repeated_without_end() -> None:
    with pytest.raises(ConfigError, match=r"an epoch has 2\.5 h of b, which has 2 s: lower"):
        EpochDraw([3.0, 2.0, 0.0], [Share("a", 1, 9.0), Share("b", 2, 9000.0)], seed=0)


# The corpus


def corpus(name: str, ids: Sequence[str], seconds: float = 1.0) -> Corpus:
    return Corpus(name, [Utterance(each, Path(f"{name}/{each}.wav"), seconds) for each in ids])


def shares(mixed: MixedCorpus) -> dict[str, float]:
    durations = {name: [each.duration for each in part] for name, part in mixed.parts.items()}
    draw = mixed.draw(durations, seed=0)
    assert draw is not None
    return {share.name: share.seconds for share in draw.shares}


EVEN = {"a": corpus("x", ["1", "2"], 900.0), "b": corpus("y", [str(n) for n in range(8)], 900.0)}
"""Half an hour and two hours."""


def test_an_epoch_without_weights_has_everything_once() -> None:
    mixed = MixedCorpus(EVEN)
    assert [each.audio.parent.name for each in mixed] == ["x"] * 2 + ["y"] * 8
    assert mixed.draw({"a": [900.0] * 2, "b": [900.0] * 8}, seed=0) is None


def test_shares_by_weights_temperature_and_hours() -> None:
    assert shares(MixedCorpus(EVEN, weights={"a": 3, "b": 1})) == {"a": 6750.0, "b": 2250.0}
    given_hours = MixedCorpus(EVEN, weights={"a": 1, "b": 1}, epoch_hours=1)
    assert shares(given_hours) == {"a": 1800.0, "b": 1800.0}
    natural = shares(MixedCorpus(EVEN, temperature=1))
    assert natural == pytest.approx({"a": 1800.0, "b": 7200.0})
    # 0.5 ** (1 / 2) : 2 ** (1 / 2) is 1 : 2
    assert shares(MixedCorpus(EVEN, temperature=2)) == pytest.approx({"a": 3000.0, "b": 6000.0})
    even = shares(MixedCorpus(EVEN, temperature=1e9))
    assert even == pytest.approx({"a": 4500.0, "b": 4500.0})
    assert shares(MixedCorpus(EVEN, hours={"a": 0.5, "b": 0.25})) == {"a": 1800.0, "b": 900.0}


def test_ids_of_several_corpora_have_their_names_before_them() -> None:
    broken = Utterance("2", Path("x/2.wav"), 0.0)
    first = Corpus("x", corpus("x", ["1", "3"]), [Exclusion("x/2.wav", "is empty", broken)])
    mixed = MixedCorpus({"one": first, "two": corpus("y", ["1", "2", "one-1", "4"])})
    assert [each.id for each in mixed] == ["one-one-1", "3", "two-1", "two-2", "one-1", "4"]
    assert [each.utterance.id for each in mixed.exclusions if each.utterance] == ["one-2"]
    assert [each.id for each in mixed.parts["two"]] == ["two-1", "two-2", "one-1", "4"]


def test_names_of_a_list_are_those_of_its_corpora() -> None:
    mixed = MixedCorpus([corpus("x", ["1"]), corpus("y", ["2"]), corpus("x", ["1"])])
    assert list(mixed.parts) == ["x", "y", "x-3"]
    assert [each.id for each in mixed] == ["x-1", "2", "x-3-1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"a": 1, "b": 1}, "temperature": 2}, "weights and temperature of a mix"),
        ({"weights": {"a": 1}}, r"weights must have a number for each corpus \(a, b\), but has a"),
        ({"weights": {"a": 1, "b": 0}}, "weights.b must be a positive number, but is 0"),
        ({"hours": {"a": 1, "b": "2"}}, "hours.b must be a positive number, but is '2'"),
        ({"weights": [1, 2]}, r"for each corpus \(a, b\), but has \[1, 2\]"),
        ({"temperature": 0}, "temperature must be a positive number, but is 0"),
        ({"epoch_hours": 2}, "epoch_hours=2 needs weights or temperature"),
        ({"corpora": {}}, "corpora must name at least one corpus"),
        ({"corpora": {"a": 1}}, "corpora.a must be a corpus or Dataset by its _target_"),
        ({"corpora": {"a": MixedCorpus(EVEN)}}, "no mix, but is a MixedCorpus"),
    ],
)
def test_wrong_mixes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MixedCorpus(**({"corpora": EVEN} | options))


def test_corpora_are_named_in_a_config_or_listed(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "data", {"one": 3, "two": 2})
    node = {
        part: {
            "_target_": "deepspeech2.datasets.ManifestCorpus",
            "manifest": f"{part}.jsonl",
            "data_dir": str(data),
        }
        for part in ("one", "two")
    }
    mix = {"_target_": "deepspeech2.datasets.MixedCorpus", "corpora": node, "temperature": 2.0}
    named = corpora({"train": mix, "val": node["one"]})
    listed = corpora({"train": list(node.values())})["train"]
    assert named["train"].utterances == listed.utterances
    assert isinstance(named["train"], MixedCorpus)
    assert len(named["train"]) == 5
    separate = apart(named)
    assert {name: len(each) for name, each in separate.items()} == {
        "train.one": 3,
        "train.two": 2,
        "val": 3,
    }
    with pytest.raises(ConfigError, match=r"datasets.train\[1\] must name a _target_, but is 'x'"):
        corpora({"train": [node["one"], "x"]})
    wrong = {**mix, "corpora": {"one": {**node["one"], "limits": 3}}}
    with pytest.raises(ConfigError, match=r"datasets.train.corpora.one.limits=3 does not exist"):
        corpora({"train": wrong})
    missing = {**mix, "corpora": {"one": {**node["one"], "manifest": "no.jsonl"}}}
    with pytest.raises(Exception, match=r"no.jsonl does not exist"):
        corpora({"train": missing})


def test_corpora_of_a_mix_are_changed_one_by_one() -> None:
    def drop_two(node: Any, key: str) -> Any:
        return None if node == 2 else f"{key}={node}"

    mix = {"_target_": "Mix", "corpora": {"a": 1, "b": 3}, "temperature": 2.0}
    changed = {"a": "train.a=1", "b": "train.b=3"}
    assert map_corpora(drop_two, mix, "train") == {**mix, "corpora": changed}
    less = map_corpora(drop_two, {**mix, "corpora": {"a": 1, "b": 2}}, "train")
    assert less == {"_target_": "Mix", "corpora": {"a": "train.a=1"}}
    assert map_corpora(drop_two, {**mix, "corpora": {"b": 2}}, "train") is None
    assert map_corpora(drop_two, 1, "train") == "train=1"


class Tones(Dataset[dict[str, Any]]):
    """Somebody's data set of torch: two utterances of half a second."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"audio": torch.full((8000,), index / 4), "sample_rate": RATE, "text": "a b"}


@pytest.mark.parametrize("several", [False, True])
def test_a_dataset_of_torch_is_a_part_of_a_mix(several: bool) -> None:
    node = {"_target_": f"{__name__}.Tones"}
    nodes: Any = [node, node] if several else {"one": node, "two": node}
    mix = {"_target_": "deepspeech2.datasets.MixedCorpus", "corpora": nodes}
    (corpus,) = corpora({"train": nodes if several else mix}).values()
    assert isinstance(corpus, MixedCorpus)
    first, second = corpus.parts
    assert (first, second) == (("Tones", "Tones-2") if several else ("one", "two"))
    assert [each.id for each in corpus] == [
        f"{part}-00000{index}" for part in (first, second) for index in range(2)
    ]
    assert [float(read_utterance(each, RATE)[0]) for each in corpus] == [0, 0.25, 0, 0.25]
