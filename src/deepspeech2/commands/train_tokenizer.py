"""Train the pieces of a text encoder of subwords."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from deepspeech2.errors import ConfigError, run_command
from deepspeech2.files import alone
from deepspeech2.paths import typed
from deepspeech2.text import Normalizer, SubwordEncoder
from deepspeech2.text.ngram.texts import read_sentences, text_files
from deepspeech2.text.normalization import CASES
from deepspeech2.text.subwords import write_pieces
from deepspeech2.text.train_subwords import TYPES, train_pieces


def train_tokenizer(
    texts: Sequence[Path],
    output: Path,
    *,
    kind: str,
    size: int,
    config_name: str | None = None,
    changes: Sequence[str] = (),
    case: str = "lower",
) -> None:
    """Train ``size`` pieces of ``texts``, write them to ``output``, and print what they are like.

    Args:
        texts: text files, manifests, or folders of transcripts; see
            :func:`~deepspeech2.text.ngram.texts.text_files`.
        output: the file to write.
        kind: ``bpe`` or ``unigram``.
        size: number of pieces; the network has one token more, the blank.
        config_name: a config whose ``datasets.train`` is learnt from as well.
        changes: of that config, as KEY=VALUE.
        case: as ``text_encoder.case`` is going to be.

    Raises:
        ConfigError: ``output`` exists or cannot be written, or an option is out of range.
        ManifestError: a text is missing, damaged or empty.
    """
    if not texts and config_name is None:
        raise ConfigError("name a text, a manifest or a folder of transcripts, or -cn=CONFIG")
    if output.exists():
        raise ConfigError(f"{output} exists already: remove it, or name another output")
    output.parent.mkdir(parents=True, exist_ok=True)
    normalizer = Normalizer(case)
    with alone(output):
        files = [file for path in texts for file in text_files(path)]
        sentences = list(read_sentences(files, normalizer))
        if config_name is not None:
            sentences += map(normalizer, _transcripts(config_name, changes))
        pieces, scores = train_pieces(sentences, kind=kind, size=size)
        encoder = SubwordEncoder(pieces, scores, case=case)
        write_pieces(output, pieces, scores)
    n_tokens = sum(len(encoder.encode(sentence)) for sentence in sentences)
    n_characters = sum(map(len, sentences))
    print(
        f"{len(sentences)} sentences, {n_characters} characters: {n_tokens} tokens,"
        f" {n_characters / n_tokens:.2f} characters each"
    )
    print(f"written: {output}")


def _transcripts(config_name: str, changes: Sequence[str]) -> Iterator[str]:
    from deepspeech2.config.components import group
    from deepspeech2.config.composing import composed
    from deepspeech2.config.loaders import corpora

    named = group(composed(config_name, changes), "datasets")
    if not named.get("train"):
        raise ConfigError("datasets.train must name a corpus to learn from")
    for utterance in corpora({"train": named["train"]})["train"]:
        yield utterance.text or ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train pieces; returns the exit status."""
    parser = argparse.ArgumentParser(description="Train pieces of words for text_encoder=subword.")
    parser.add_argument(
        "words",
        nargs="*",
        metavar="TEXT or KEY=VALUE",
        help="text, one sentence a line (also .gz, .xz), a manifest (.jsonl), or a folder in"
        " LibriSpeech's layout; with -cn, values of the config",
    )
    parser.add_argument(
        "-cn", "--config-name", metavar="CONFIG", help="learn from this config's datasets.train"
    )
    parser.add_argument("--type", choices=TYPES, default="bpe", dest="kind")
    parser.add_argument("--size", type=int, required=True, help="number of pieces")
    parser.add_argument("--case", choices=CASES, default="lower", help="as text_encoder.case")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="the file to write (.json)"
    )
    options = vars(parser.parse_args(arguments))
    words = options.pop("words")
    changes = [word for word in words if options["config_name"] and "=" in word]
    texts = [typed(word) for word in words if word not in changes]
    return run_command(
        lambda: train_tokenizer(texts, options.pop("output"), changes=changes, **options)
    )
