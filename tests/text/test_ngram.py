from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deepspeech2.errors import ManifestError
from deepspeech2.text.ngram.arpa import read_arpa, write_arpa
from deepspeech2.text.ngram.backoff import NGramModel
from deepspeech2.text.ngram.cache import cache_path, load_ngram

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decoding"))
from tests.decoding.ngram_oracle import PlainModel, random_tables

WORDS = ("a", "Ab", "nan", "null", "b", "#", '"q', "é", "x'y")


def sentences(seed: int, count: int = 40) -> list[list[str]]:
    random_ = random.Random(seed)
    return [random_.choices((*WORDS, "unheard"), k=random_.randint(0, 9)) for _ in range(count)]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_scores_are_those_of_the_plain_model(tmp_path: Path, order: int) -> None:
    tables = random_tables(WORDS, order, seed=order, share=0.25)
    path = tmp_path / "model.arpa"
    write_arpa(tables, path)
    plain = PlainModel(tables)
    models = [
        NGramModel.from_tables(tables),
        NGramModel.from_tables(read_arpa(path)),
        load_ngram(path, key=str.lower, key_name="lower"),
        load_ngram(path, key=str.lower, key_name="lower"),  # from the cache
    ]
    assert models[1].counts == tuple(len(each.ids) for each in tables.orders)
    assert list(models[3].words) == sorted(tables.words, key=lambda word: (word.lower(), word))
    for words in sentences(order):
        expected = plain.sentence(words)
        for model in models:
            found = model.score(words)
            assert [score for score, _ in found] == pytest.approx(expected, abs=1e-4)
            assert [unknown for _, unknown in found] == [w not in WORDS for w in words] + [False]


@pytest.mark.slow  # KenLM is installed by make test-all
def test_scores_are_kenlm_s(tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm", reason="requirements-lm.txt is not installed")
    tables = random_tables(WORDS[:5], 3, seed=7, share=0.6)
    path = tmp_path / "model.arpa"
    write_arpa(tables, path)
    theirs = kenlm.Model(str(path))
    ours = load_ngram(path)
    for words in sentences(1):
        found = sum(score for score, _ in ours.score(words))
        assert found == pytest.approx(theirs.score(" ".join(words)), abs=1e-4)


def test_gzip(tmp_path: Path) -> None:
    tables = random_tables(WORDS, 2, seed=1)
    write_arpa(tables, tmp_path / "plain.arpa")
    write_arpa(tables, tmp_path / "packed.arpa.gz")
    packed = gzip.decompress((tmp_path / "packed.arpa.gz").read_bytes())
    assert packed == (tmp_path / "plain.arpa").read_bytes()
    assert read_arpa(tmp_path / "packed.arpa.gz").words == tables.words


def test_a_suffix_that_was_pruned(tmp_path: Path) -> None:
    # "a b c" without "b c": after "a b c" the context is "c", not "b c"
    path = tmp_path / "model.arpa"
    path.write_text(
        "\\data\\\nngram 1=6\nngram 2=3\nngram 3=1\n\n\\1-grams:\n-1\t<unk>\n-9\t<s>\t-0.1\n"
        "-1.1\t</s>\n-1.2\ta\t-0.2\n-1.3\tb\t-0.3\n-1.4\tc\t-0.4\n\n"
        "\\2-grams:\n-0.5\ta b\t-0.05\n-0.6\tc a\n-0.7\t<s> a\n\n"
        "\\3-grams:\n-0.1\ta b c\n\n\\end\\\n",
        encoding="utf-8",
    )
    scores = [score for score, _ in load_ngram(path).score(["a", "b", "c", "a"])]
    assert scores == pytest.approx([-0.7, -0.5, -0.1, -0.6, -1.3], abs=1e-6)


def test_the_cache_belongs_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.arpa"
    write_arpa(random_tables(WORDS, 2, seed=1), path)
    first = load_ngram(path).score(["a"])
    cache = cache_path(path)
    assert cache.exists()
    stamp = cache.stat().st_mtime_ns
    assert load_ngram(path).score(["a"]) == first
    assert cache.stat().st_mtime_ns == stamp
    write_arpa(random_tables(WORDS, 2, seed=2), path)
    os.utime(path, ns=(1, 1))
    assert load_ngram(path).score(["a"]) != first
    # cut off, or not a cache: made anew
    expected = load_ngram(path).score(["a"])
    for content in (cache.read_bytes()[:-4], b"nonsense", b""):
        cache.write_bytes(content)
        assert load_ngram(path).score(["a"]) == expected
        assert len(cache.read_bytes()) > len(content)


def test_a_cache_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model.arpa"
    write_arpa(random_tables(WORDS, 2, seed=1), path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr("deepspeech2.text.ngram.cache._write", refuse)
    assert load_ngram(path).score(["a"])
    assert "could not be written (read-only)" in caplog.text
    assert os.listdir(tmp_path) == ["model.arpa"]


GOOD = (
    "\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-1\t<unk>\n-9\t<s>\t-0.1\n-1.1\t</s>\n\n"
    "\\2-grams:\n-0.5\t<s> </s>\n\n\\end\\\n"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"has no line \\data\\"),
        ("hello\nworld\n", r"has no line \\data\\"),
        (GOOD.replace("ngram 2=1", "ngram 3=1"), "its header has the line"),
        (GOOD.replace("1=3", "1=4"), "contains 3 1-grams where its header says 4"),
        (GOOD.replace("\\2-grams", "\\3-grams"), r"where \\2-grams: is due"),
        (GOOD.replace("\\end\\\n", ""), r"its last line is not \\end\\"),
        (GOOD[: GOOD.index("\\2-grams")], r"cut off"),
        (GOOD.replace("<s> </s>", "<s> word"), "'word', which is no 1-gram of it"),
        (GOOD.replace("-0.5\t", "x\t"), "a line that is no 2-gram"),
        (GOOD.replace("\t-0.1\n", "\t-0.1\t-0.2\t-0.3\n"), "a line that is no 1-gram"),
        (GOOD.replace("-1\t<unk>", "-1\t</s>"), "1-gram '</s>' twice"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ManifestError, match=message):
        load_ngram(path)


def test_an_ngram_without_its_first_words(tmp_path: Path) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(
        GOOD.replace("ngram 2=1\n", "ngram 2=1\nngram 3=1\n").replace(
            "\\end\\", "\\3-grams:\n-1\t</s> <s> </s>\n\n\\end\\"
        ),
        encoding="utf-8",
    )
    with pytest.raises(ManifestError, match="has the 3-gram '</s> <s> </s>', but not the words"):
        load_ngram(path)
    with pytest.raises(ManifestError, match="does not exist: train a model"):
        load_ngram(tmp_path / "absent.arpa")


SMALL = """\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-99\t<s>\t-0.5
-1.0\t</s>
-1.5\t<unk>\t-0.2
-0.8\tcome\t-0.3
-0.7\tthe\t-0.3

\\2-grams:
-0.3\t<s> come
-0.4\tcome <unk>
-0.2\t<unk> the

\\end\\
"""


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text(SMALL.replace("<unk>", "<UNK>")),
        lambda path: path.write_text(SMALL, encoding="utf-8-sig"),
        lambda path: path.write_text(SMALL.replace("\n", "\r\n")),
        lambda path: path.write_bytes(gzip.compress(SMALL.encode())),
        lambda path: path.write_bytes(bz2.compress(SMALL.encode())),
        lambda path: path.write_bytes(lzma.compress(SMALL.encode())),
    ],
    ids=["<UNK>", "byte order mark", "line ends of Windows", "gzip", "bzip2", "xz"],
)
def test_a_model_is_read_however_it_is_written(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    plain, other = tmp_path / "plain.arpa", tmp_path / "other.arpa"  # whatever a file is called
    plain.write_text(SMALL)
    write(other)
    ours, theirs = read_arpa(plain), read_arpa(other)
    assert theirs.words == ours.words
    for mine, its in zip(ours.orders, theirs.orders, strict=True):
        assert (mine.ids == its.ids).all()
        assert (mine.log10_probability == its.log10_probability).all()
        assert (mine.log10_backoff == its.log10_backoff).all()


def test_both_spellings_of_unknown_are_two_words(tmp_path: Path) -> None:
    path = tmp_path / "both.arpa"
    both = SMALL.replace("ngram 1=5", "ngram 1=6").replace("-0.8\tcome", "-3\t<UNK>\n-0.8\tcome")
    path.write_text(both)
    assert {"<unk>", "<UNK>"} <= set(read_arpa(path).words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"mmap lm http://kheafield.com/code format version 5\n\0\0\0", "is a binary of KenLM"),
        (SMALL.replace("-0.4\t", "0.4\t").encode(), r"2-gram .* is 0.4, above 0"),
    ],
)
def test_what_is_no_model_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.arpa"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_arpa(path)
