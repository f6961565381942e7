"""Training of an n-gram language model, from texts to an ARPA file."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from deepspeech2.errors import ConfigError, ManifestError, run_command
from deepspeech2.files import alone
from deepspeech2.paths import typed
from deepspeech2.text.ngram.arpa import write_arpa
from deepspeech2.text.ngram.backoff import NGramModel, NGramTables
from deepspeech2.text.ngram.kneser_ney import Estimate, check_options, estimate
from deepspeech2.text.ngram.pruning import check_threshold, entropy_prune
from deepspeech2.text.ngram.texts import encode, read_sentences, text_files
from deepspeech2.text.normalization import Normalizer


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How well a model predicts a text, every sentence's end included.

    Attributes:
        n_tokens: words and sentence ends.
        n_unknown: those of them that the model does not know, scored as ``<unk>``.
        log10_known, log10_unknown: logarithms of the probabilities of the others, and of these,
            summed.
    """

    n_tokens: int
    n_unknown: int
    log10_known: float
    log10_unknown: float

    @property
    def unknown_rate(self) -> float:
        """Share of the tokens that the model does not know."""
        return self.n_unknown / self.n_tokens

    @property
    def perplexity(self) -> float:
        """Inverse of the geometric mean probability of all tokens."""
        return _power(-(self.log10_known + self.log10_unknown) / self.n_tokens)

    @property
    def perplexity_of_known(self) -> float:
        """The same of the known tokens, of which the ends of sentences make at least one."""
        return _power(-self.log10_known / (self.n_tokens - self.n_unknown))


def train_lm(
    texts: Sequence[Path],
    output: Path,
    *,
    order: int,
    prune: Sequence[int] = (),
    entropy: float | None = None,
    limit_vocabulary: int | None = None,
    held_out: Sequence[Path] = (),
) -> None:
    """Estimate a model of ``texts``, write it to ``output``, and print what it is like.

    Texts are normalised as transcripts are, with the defaults of :class:`Normalizer`.

    Args:
        texts, held_out: text files, or folders of transcripts; see
            :func:`~deepspeech2.text.ngram.texts.text_files`.
        output: the ARPA file to write; compressed where its name ends in ``.gz``.
        order, prune, limit_vocabulary: see :func:`~deepspeech2.text.ngram.kneser_ney.estimate`.
        entropy: see :func:`~deepspeech2.text.ngram.pruning.entropy_prune`; None leaves everything.

    Raises:
        ConfigError: ``output`` exists or cannot be written, or an option is out of range.
        ManifestError: a text is missing, damaged or empty.
    """
    # What cannot work fails before the work, not after it.
    check_options(order, prune, limit_vocabulary)
    if entropy is not None:
        check_threshold(entropy)
    _check_output(output)
    with alone(output):
        held_out_files = _files(held_out)
        text = encode(_read(_files(texts), "reading the text"))
        result = estimate(text, order, prune=prune, limit_vocabulary=limit_vocabulary)
        tables = result.tables if entropy is None else entropy_prune(result.tables, entropy)
        print(_describe(result, tables))
        try:
            write_arpa(tables, output)
        except OSError as error:
            raise ConfigError(f"{output} cannot be written: {error.strerror or error}") from error
        print(f"written: {output}")
        if held_out_files:
            sentences = _read(held_out_files, "reading held-out text")
            print(_describe_held_out(evaluate(tables, sentences)))


def evaluate(tables: NGramTables, held_out: Iterator[str]) -> HeldOut:
    """Score the sentences ``held_out``, each by itself.

    Raises:
        ManifestError: there is none.
    """
    model = NGramModel.from_tables(tables)
    n_tokens, log10s = 0, {False: [0.0], True: []}
    for sentence in held_out:
        for log10, unknown in model.score(sentence.split()):
            n_tokens += 1
            log10s[unknown].append(log10)
    if not n_tokens:
        raise ManifestError("the held-out text is empty: name one with at least one sentence")
    return HeldOut(n_tokens, len(log10s[True]), math.fsum(log10s[False]), math.fsum(log10s[True]))


def _check_output(output: Path) -> None:
    if output.exists():
        raise ConfigError(f"{output} exists already: remove it, or name another output")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{output.parent} cannot be created ({error.strerror}): name another output"
        ) from error


def _files(paths: Sequence[Path]) -> list[Path]:
    return [file for path in paths for file in text_files(path)]


def _read(files: Sequence[Path], description: str) -> Iterator[str]:
    lines = read_sentences(files, Normalizer())
    yield from tqdm(lines, desc=description, unit=" lines", unit_scale=True, disable=None)


def _describe(result: Estimate, tables: NGramTables) -> str:
    lines = []
    each_order = zip(
        result.seen, result.tables.orders, tables.orders, result.discounts, strict=True
    )
    for n, (seen, counted, kept, discounts) in enumerate(each_order, start=1):
        line = f"{n}-grams: {seen} in the text"
        if len(counted.ids) < seen:
            line += f", {len(counted.ids)} kept"
        if len(kept.ids) < len(counted.ids):
            line += f", {len(kept.ids)} after entropy pruning"
        amounts = " ".join(f"{amount:.4f}" for amount in discounts.amounts)
        note = "" if discounts.estimated else " (fixed: the text is too small to estimate them)"
        lines.append(f"{line}; discounts {amounts}{note}")
    return "\n".join(lines)


def _describe_held_out(result: HeldOut) -> str:
    return (
        f"held-out: {result.n_tokens} tokens with sentence ends, {result.n_unknown} unknown "
        f"({result.unknown_rate:.2%})\n"
        f"perplexity: {result.perplexity:.2f} with unknown words, "
        f"{result.perplexity_of_known:.2f} without"
    )


def _power(exponent: float) -> float:
    """10 to the power of ``exponent``; infinite where that is too large."""
    return math.inf if exponent > 300 else 10.0**exponent


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a language model; returns the exit status."""
    parser = argparse.ArgumentParser(description="Train an n-gram language model of words.")
    parser.add_argument(
        "texts",
        nargs="+",
        type=typed,
        metavar="TEXT",
        help="text, one sentence a line (also .gz, .xz), a manifest (.jsonl), or a folder in"
        " LibriSpeech's layout",
    )
    parser.add_argument("--order", type=int, required=True, help="words in the longest n-grams")
    parser.add_argument(
        "--prune",
        type=int,
        nargs="+",
        default=(),
        metavar="COUNT",
        help="for each order, the count up to which n-grams are dropped, as in 0 0 1",
    )
    parser.add_argument(
        "--entropy",
        type=float,
        metavar="NATS",
        help="drop n-grams whose loss changes the model by at most this, as in 1e-8",
    )
    parser.add_argument(
        "--limit-vocabulary", type=int, metavar="WORDS", help="keep only the most frequent words"
    )
    parser.add_argument(
        "--held-out",
        type=typed,
        nargs="+",
        default=(),
        metavar="TEXT",
        help="text or folder to measure the perplexity on",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="ARPA file to write (also .gz)"
    )
    options = vars(parser.parse_args(arguments))
    return run_command(lambda: train_lm(options.pop("texts"), options.pop("output"), **options))
