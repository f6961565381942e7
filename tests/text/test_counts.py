from __future__ import annotations

import gzip
import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from deepspeech2.errors import ManifestError
from deepspeech2.text import Normalizer
from deepspeech2.text.ngram.counts import NGramCounts, count_ngrams
from deepspeech2.text.ngram.texts import EncodedText, encode, read_sentences, text_files
from tests.text.plain_ngrams import plain_adjusted, plain_counts, random_text


def spelt(text: EncodedText, orders: tuple[NGramCounts, ...]) -> list[list[tuple[str, ...]]]:
    """The words of every n-gram."""
    found: list[list[tuple[str, ...]]] = [[()]]
    for order in orders:
        pairs = zip(order.prefix.tolist(), order.word.tolist(), strict=True)
        found.append([(*found[-1][prefix], text.words[word]) for prefix, word in pairs])
    return found[1:]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_counts(order: int, seed: int) -> None:
    lines = random_text(seed, n_sentences=60, n_words=15)
    text = encode(lines)
    orders = count_ngrams(text, order)
    raw = plain_counts(lines, order)
    adjusted = plain_adjusted(raw)
    for n, grams in enumerate(spelt(text, orders)):
        zero = {("<unk>",): 0, ("<s>",): 0} if n == 0 else {}
        assert dict(zip(grams, orders[n].count.tolist(), strict=True)) == dict(raw[n]) | zero
        assert dict(zip(grams, orders[n].adjusted.tolist(), strict=True)) == adjusted[n] | zero
        ids = [tuple(map(text.words.index, gram)) for gram in grams]
        assert ids == sorted(set(ids))


def test_suffixes() -> None:
    text = encode(random_text(0))
    orders = count_ngrams(text, 3)
    grams = spelt(text, orders)
    for n in (1, 2):
        for gram, suffix in zip(grams[n], orders[n].suffix.tolist(), strict=True):
            assert grams[n - 1][suffix] == gram[1:]


def test_no_sentence_is_long_enough() -> None:
    assert [len(order) for order in count_ngrams(encode(["a", "b"]), 5)] == [5, 4, 2, 0, 0]


def test_order_must_be_positive() -> None:
    with pytest.raises(ValueError, match="order must be at least 1, but is 0"):
        count_ngrams(encode(["a"]), 0)


def test_words_are_numbered_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["b a", "a c b", "d"]
    whole = encode(lines)
    assert whole.words == ("<unk>", "<s>", "</s>", "b", "a", "c", "d")
    assert whole.ids.tolist() == [1, 3, 4, 2, 1, 4, 5, 3, 2, 1, 6, 2]
    monkeypatch.setattr("deepspeech2.text.ngram.texts._CHUNK", 2)
    parts = encode(iter(lines))
    assert parts.words == whole.words
    np.testing.assert_array_equal(parts.ids, whole.ids)
    assert parts.ids.dtype == np.int32


def test_a_text_needs_a_sentence() -> None:
    with pytest.raises(ManifestError, match="the text is empty"):
        encode([])


def test_files_are_unpacked_and_normalised(tmp_path: Path) -> None:
    content = "It\u2019s A-b.\n\n  \u2014\nC d\n"
    (tmp_path / "plain.txt").write_text(content, "utf-8")
    (tmp_path / "packed.txt.gz").write_bytes(gzip.compress(content.encode()))
    (tmp_path / "packed.txt.xz").write_bytes(lzma.compress(content.encode()))
    for path in sorted(tmp_path.iterdir()):
        assert list(read_sentences([path], Normalizer())) == ["it's a b", "c d"]
    assert Counter(read_sentences(tmp_path.iterdir(), Normalizer())) == {"it's a b": 3, "c d": 3}


def test_transcripts_lose_their_ids(tmp_path: Path) -> None:
    for speaker, line in [("2", "2-1-0 C D"), ("1", "1-1-0 A B\n1-1-1 E")]:
        (tmp_path / speaker).mkdir()
        (tmp_path / speaker / f"{speaker}-1.trans.txt").write_text(f"{line}\n", "utf-8")
    assert list(read_sentences(text_files(tmp_path), Normalizer())) == ["a b", "e", "c d"]


def test_a_manifest_gives_its_texts(tmp_path: Path) -> None:
    lines = [
        '{"audio_filepath": "a.wav", "duration": 1.0, "text": "It\\u2019s A"}',
        "",
        '{"text": "B"}',
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(lines), "utf-8")
    assert list(read_sentences([tmp_path / "train.jsonl"], Normalizer())) == ["it's a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl",
            b'{"text": "one"}\n{"audio_filepath": "b.wav"}\n',
            "a.jsonl, line 2: a manifest",
        ),
        ("a.jsonl", b"one\n", "a.jsonl, line 1: a manifest"),
        ("a.txt", b"one\ntwo <s> three\n", "a.txt, line 2: <unk>, <s> and </s> belong"),
        ("a.txt", b"one \xff\n", "a.txt is not UTF-8 text"),
        (
            "a.txt.gz",
            gzip.compress(b"one\n" * 1000, mtime=0)[:-12],
            "a.txt.gz is damaged or cut off",
        ),
        ("a.txt.xz", lzma.compress(b"one\n" * 1000)[:-12], "a.txt.xz is damaged or cut off"),
    ],
)
def test_bad_texts(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        list(read_sentences([tmp_path / name], Normalizer()))


def test_missing_texts(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="nowhere does not exist"):
        text_files(tmp_path / "nowhere")
    with pytest.raises(ManifestError, match="contains no transcripts"):
        text_files(tmp_path)
