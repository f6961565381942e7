from __future__ import annotations

import math
import re
import unicodedata
from pathlib import Path

import pytest
import torch

from deepspeech2.decoding import BeamSearchDecoder, LanguageModelDecoder
from deepspeech2.decoding.prior import TokenPrior, measured_prior
from deepspeech2.decoding.spelling import normalized
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.seeding import generator
from deepspeech2.text import TextEncoder
from deepspeech2.text.ngram.arpa import write_arpa
from deepspeech2.types import Padded
from tests.decoding.ctc_oracle import all_transcripts, first_of_each_text
from tests.decoding.ngram_oracle import PlainModel, random_tables

ENCODER = TextEncoder("ab ")
WORDS = ("a", "ab", "abb", "b", "ba", "bab")


def posteriors(batch: int, frames: int, *, seed: int, sharpness: float = 1.0) -> Padded:
    shape = (batch, frames, ENCODER.n_tokens)
    logits = torch.randn(shape, generator=generator("cpu", seed), dtype=torch.float64)
    lengths = torch.randint(1, frames + 1, (batch,), generator=generator("cpu", seed, "lengths"))
    lengths[0] = frames
    return Padded((sharpness * logits).log_softmax(-1), lengths)


def arpa(folder: Path, order: int, *, seed: int = 0) -> tuple[Path, PlainModel]:
    tables = random_tables(WORDS, order, seed=seed)
    path = folder / f"{order}-{seed}.arpa"
    write_arpa(tables, path)
    return path, PlainModel(tables)


def text(labels: tuple[int, ...]) -> str:
    return "".join(ENCODER.alphabet[label - 1] for label in labels)


def expected_scores(
    utterance: torch.Tensor,
    model: PlainModel,
    *,
    weight: float,
    word_score: float,
    unknown_score: float | None,
    words: frozenset[str] = frozenset(WORDS),
    spelled: frozenset[str] = frozenset(),
) -> dict[tuple[int, ...], float]:
    """Every labelling with its score by the formula of the docstring."""
    scores = {}
    for labels, heard in all_transcripts(utterance).items():
        spoken = text(labels).split()
        unknown = sum(word not in words and word not in spelled for word in spoken)
        if unknown and unknown_score is None:
            continue
        # a word that the lexicon lacks is unknown to the model as well
        known = [word if word in words else "?" for word in spoken]
        score = heard + weight * math.log(10) * sum(model.sentence(known))
        scores[labels] = score + word_score * len(spoken) + (unknown_score or 0.0) * unknown
    return scores


@pytest.mark.parametrize("unknown_score", [-3.0, None])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_agrees_with_exhaustive_search(
    tmp_path: Path, order: int, unknown_score: float | None
) -> None:
    path, model = arpa(tmp_path, order)
    weights = {"word_score": 0.7, "unknown_score": unknown_score}
    decoder = LanguageModelDecoder(
        ENCODER, lm=str(path), lm_weight=0.6, beam_size=3000, nbest=3000, beam_threshold=None,
        **weights,
    )  # fmt: skip
    batch = posteriors(4, 6, seed=order)
    for found, utterance in zip(decoder(batch), batch.unpad(), strict=True):
        expected = expected_scores(utterance, model, weight=0.6, **weights)
        ranked = sorted(expected.items(), key=lambda item: -item[1])
        ranked = first_of_each_text(ranked, ENCODER)
        possible = [each for each in found if each.score > -math.inf]
        assert [each.labels for each in possible] == [labels for labels, _ in ranked]
        assert [each.score for each in possible] == pytest.approx([s for _, s in ranked], abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_look_ahead_makes_a_narrow_beam_find_the_best(tmp_path: Path, seed: int) -> None:
    path, model = arpa(tmp_path, 3, seed=seed)
    decoder = LanguageModelDecoder(
        ENCODER, lm=str(path), lm_weight=1.0, word_score=0.0, unknown_score=-3.0, beam_size=40
    )
    batch = posteriors(6, 6, seed=10 + seed)
    for found, utterance in zip(decoder(batch), batch.unpad(), strict=True):
        expected = expected_scores(utterance, model, weight=1.0, word_score=0.0, unknown_score=-3.0)
        assert found[0].score == pytest.approx(max(expected.values()), abs=1e-5)
        assert found[0].text == " ".join(text(max(expected, key=expected.__getitem__)).split())


def test_bound_to_a_lexicon(tmp_path: Path) -> None:
    path, model = arpa(tmp_path, 3)
    lexicon = tmp_path / "lexicon.txt"
    # "bba" is spelled, but unknown to the model, and counts as <unk>
    lexicon.write_text("AB  A B\nBA B A\nBAB\nBBA\n", encoding="utf-8")
    decoder = LanguageModelDecoder(
        ENCODER, lm=str(path), lexicon=str(lexicon), unknown_score=None, lm_weight=0.5,
        word_score=0.0, beam_size=2000, beam_threshold=None,
    )  # fmt: skip
    batch = posteriors(6, 6, seed=5)
    for [best, *_], utterance in zip(decoder(batch), batch.unpad(), strict=True):
        scores = {
            labels: heard + 0.5 * math.log(10) * sum(model.sentence(text(labels).split()))
            for labels, heard in all_transcripts(utterance).items()
            if set(text(labels).split()) <= {"ab", "ba", "bab", "bba"}
        }
        assert best.text == " ".join(text(max(scores, key=scores.__getitem__)).split())
        assert best.score == pytest.approx(max(scores.values()), abs=1e-5)


def test_without_weight_as_without_a_model(tmp_path: Path) -> None:
    path, _ = arpa(tmp_path, 2)
    batch = posteriors(5, 40, seed=3, sharpness=2.0)
    options = {"beam_size": 20, "nbest": 5, "beam_threshold": None}
    fused = LanguageModelDecoder(
        ENCODER, lm=str(path), lm_weight=0.0, word_score=0.0, unknown_score=0.0, **options
    )
    plain = BeamSearchDecoder(ENCODER, **options)
    assert fused(batch) == plain(batch)


@pytest.mark.parametrize("threads", [1, 3])
def test_alone_as_in_a_batch(tmp_path: Path, threads: int) -> None:
    path, _ = arpa(tmp_path, 3)
    decoder = LanguageModelDecoder(ENCODER, lm=str(path), beam_size=8, nbest=3, threads=threads)
    batch = posteriors(7, 30, seed=8)
    alone = [
        decoder(Padded(utterance[None], torch.tensor([len(utterance)])))[0]
        for utterance in batch.unpad()
    ]
    assert decoder(batch) == alone


@pytest.mark.parametrize("unknown_score", [-3.0, None])
@pytest.mark.parametrize(
    "hotwords", [{"ab": 2.0}, {"ab": 1.5, "ab ba": 2.5, "b": 0.5}, {"bbb": 4.0, "ab bbb": 1.0}]
)
def test_hot_words_agree_with_exhaustive_search(
    tmp_path: Path, hotwords: dict[str, float], unknown_score: float | None
) -> None:
    path, model = arpa(tmp_path, 2)
    decoder = LanguageModelDecoder(
        ENCODER, lm=str(path), lm_weight=0.6, word_score=0.0, unknown_score=unknown_score,
        hotwords=hotwords, beam_size=3000, nbest=20, beam_threshold=None,
    )  # fmt: skip
    plain = BeamSearchDecoder(ENCODER, hotwords=hotwords, beam_size=3000, nbest=20)
    batch = posteriors(3, 6, seed=9)
    for fused, bare, utterance in zip(decoder(batch), plain(batch), batch.unpad(), strict=True):
        scored = expected_scores(
            utterance, model, weight=0.6, word_score=0.0, unknown_score=unknown_score,
            spelled=frozenset(" ".join(hotwords).split()),
        )  # fmt: skip
        for found, expected in ((fused, scored), (bare, all_transcripts(utterance))):
            for labels in expected:
                for phrase, boost in hotwords.items():
                    count = len(re.findall(f"(?= {phrase} )", f" {text(labels)} "))
                    expected[labels] += boost * count
            ranked = sorted(expected.items(), key=lambda item: -item[1])
            ranked = first_of_each_text(ranked, ENCODER)[: len(found)]
            assert [each.labels for each in found] == [labels for labels, _ in ranked]
            assert [each.score for each in found] == pytest.approx(
                [score for _, score in ranked], abs=1e-5
            )


def test_settings_make_the_same_decoder(tmp_path: Path) -> None:
    path, _ = arpa(tmp_path, 2)
    decoder = LanguageModelDecoder(
        ENCODER, lm=str(path), lm_weight=0.4, nbest=2, hotwords=["AB"], unknown_score=None
    )
    again = LanguageModelDecoder(ENCODER, **decoder.settings)
    assert again.settings == decoder.settings
    other = decoder.reweighed(
        lm_weight=0.9, word_score=0.1, unknown_score=-1.0, prior_weight=0.0, beam_size=7, nbest=9
    )
    assert other.settings == decoder.settings | {
        "lm_weight": 0.9, "word_score": 0.1, "unknown_score": -1.0, "beam_size": 7,
        "nbest": 7,
    }  # fmt: skip
    assert decoder.settings["lm_weight"] == 0.4


def test_a_word_that_falls_apart_beside_one_that_vanishes() -> None:
    words = [f"w{number}" for number in range(1000)]
    words[505:507] = ["mid-day", "--"]
    found = normalized(words, TextEncoder())
    assert found[504:508] == ["w504", "mid day", "", "w507"]
    assert normalized(["a", "b"], TextEncoder(remove="", to_space="")) == ["a", "b"]


def test_a_digest_tells_models_and_lexicons_apart(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("AB\nBA\n", encoding="utf-8")
    paths = [arpa(tmp_path, 2)[0], arpa(tmp_path / "again", 2)[0], arpa(tmp_path, 2, seed=1)[0]]
    first, copy, other = (LanguageModelDecoder(ENCODER, lm=str(path)).fused for path in paths)
    bound = LanguageModelDecoder(ENCODER, lm=str(paths[0]), lexicon=str(lexicon)).fused
    assert first.digest == copy.digest
    assert len({first.digest, other.digest, bound.digest}) == 3


def test_the_prior_is_taken_off_before_the_search(tmp_path: Path) -> None:
    """As an exhaustive search finds, whose posteriors were divided by hand."""
    path, model = arpa(tmp_path, 2)
    prior = (0.4, 0.3, 0.1, 0.2)
    decoder = LanguageModelDecoder(
        ENCODER, lm=str(path), lm_weight=0.6, word_score=0.3, unknown_score=-3.0, prior=prior,
        prior_weight=0.5, beam_size=3000, nbest=3000, beam_threshold=None,
    )  # fmt: skip
    assert LanguageModelDecoder(ENCODER, **decoder.settings).settings == decoder.settings
    batch = posteriors(3, 5, seed=21)
    for found, utterance in zip(decoder(batch), batch.unpad(), strict=True):
        likelihoods = utterance.exp() / torch.tensor(prior, dtype=torch.float64).sqrt()
        divided = (likelihoods / likelihoods.sum(-1, keepdim=True)).log()
        weights = {"weight": 0.6, "word_score": 0.3, "unknown_score": -3.0}
        expected = expected_scores(divided, model, **weights)
        ranked = sorted(expected.items(), key=lambda item: -item[1])
        ranked = first_of_each_text(ranked, ENCODER)
        assert [each.labels for each in found] == [labels for labels, _ in ranked]
        assert [each.score for each in found] == pytest.approx([s for _, s in ranked], abs=1e-5)
        # taking nothing off leaves another order
        without = expected_scores(utterance, model, **weights)
        assert [labels for labels, _ in ranked] != sorted(without, key=lambda each: -without[each])


def test_a_prior_from_what_was_emitted() -> None:
    """The mean posterior; what never comes keeps a little, and no weight takes nothing off."""
    batch = posteriors(2, 500, seed=3)
    sure = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(300, 4).log()
    frames = torch.cat([*batch.unpad(), sure]).double().exp()
    found = torch.tensor(measured_prior([*batch.unpad(), sure]), dtype=torch.float64)
    assert found.sum() == pytest.approx(1.0, abs=1e-6)
    torch.testing.assert_close(found, frames.mean(0), atol=4 / len(frames), rtol=0)
    assert min(measured_prior([sure])) == pytest.approx(1 / 304, abs=1e-6)
    kept = TokenPrior(found.tolist(), 0.0, 4).off(batch)
    assert kept is batch
    whole = TokenPrior([0.25] * 4, 1.0, 4).off(batch)
    torch.testing.assert_close(whole.data, batch.data)  # an even prior says nothing


def test_a_prior_that_does_not_fit_is_said(tmp_path: Path) -> None:
    path, _ = arpa(tmp_path, 1)
    for options, message in (
        ({"prior_weight": 0.5}, "decoder.prior_weight=0.5 needs decoder.prior"),
        ({"prior_weight": -1.0}, "decoder.prior_weight must be 0 or more, but is -1.0"),
        ({"prior": [0.5, 0.5]}, "decoder.prior must be 4 probabilities above 0"),
        ({"prior": [0.5, 0.5, 0.0, 0.0]}, "decoder.prior must be 4 probabilities above 0"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            LanguageModelDecoder(ENCODER, lm=str(path), **options)


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    path, _ = arpa(tmp_path, 2)
    for encoder, message in (
        (TextEncoder("ab"), "needs a space between words"),
        (TextEncoder("xyz "), r"0 of the 6 words of .* can be spelled .* \('a' for one cannot\)"),
        (TextEncoder("AB ", case="keep"), "can be spelled with the alphabet 'AB ' in keep case"),
    ):
        with pytest.raises(ConfigError, match=message):
            LanguageModelDecoder(encoder, lm=str(path))
    # another case is no obstacle where the text encoder folds it
    assert LanguageModelDecoder(TextEncoder("AB ", case="upper"), lm=str(path))
    with pytest.raises(ManifestError, match=r"absent\.arpa does not exist: name an ARPA file"):
        LanguageModelDecoder(ENCODER, lm=str(tmp_path / "absent.arpa"))
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("bbb\nbba\nab\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"knows only 1 of the 3 words of decoder\.lexicon"):
        LanguageModelDecoder(ENCODER, lm=str(path), lexicon=str(lexicon))
    for options, message in (
        ({"lm_weight": -1.0}, "lm_weight must be 0 or more, but is -1.0"),
        ({"hotwords": ["abc"]}, "'abc' contains 'c', which the alphabet lacks"),
        ({"hotwords": "ab"}, "hotwords must be a list of phrases, but is 'ab'"),
        ({"hotwords": {"ab": -1.0}}, "boost of hotword 'ab' must be 0 or more"),
        ({"threads": 0}, "decoder.threads must be a whole number of at least 1"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            LanguageModelDecoder(ENCODER, lm=str(path), **options)


def test_a_model_of_composed_words_meets_an_alphabet_of_their_parts(tmp_path: Path) -> None:
    """Every score is that of the same model with a letter in the place of the mark."""
    found = []
    for mark in ("x", "\u0302"):
        words = [unicodedata.normalize("NFC", word.replace("x", mark)) for word in
                 ("e", "ex", "exx", "ee", "exe")]  # fmt: skip
        path = tmp_path / f"{ord(mark)}.arpa"
        write_arpa(random_tables(words, 2, seed=3), path)
        decoder = LanguageModelDecoder(
            TextEncoder(f"e{mark} "), lm=str(path), word_score=0.3, unknown_score=-3.0,
            beam_size=3000, nbest=3000, beam_threshold=None, hotwords=[f"e{mark}{mark}"],
        )  # fmt: skip
        assert len(decoder.fused.spellings.ids) == len(words)
        heard = decoder(posteriors(2, 5, seed=4))
        found.append([[(each.labels, each.score) for each in nbest] for nbest in heard])
        scores = [decoder.language_score(best.text) for nbest in heard for best in nbest[:50]]
        found.append([scores])
    assert found[0] == found[2]
    assert found[1][0] == pytest.approx(found[3][0])
