"""What a folder of transcripts shows: counts, rates with intervals, and the decoder behind them."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from deepspeech2.checkpoint import COMPONENTS
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.metrics.analysis import analyse, total
from deepspeech2.metrics.edits import EditCounts
from deepspeech2.metrics.interval import Interval, bootstrap
from deepspeech2.metrics.predictions import FAILED, read_objects
from deepspeech2.metrics.report import warnings
from deepspeech2.paths import ROOT, resolve
from deepspeech2.text.normalization import Normalizer
from leaderboard.rows import LanguageModel, Rate

SIZES = {"dev-clean": 2703, "dev-other": 2864, "test-clean": 2620, "test-other": 2939}
"""Utterances of LibriSpeech's splits: half of one under its whole name misleads."""
_DRAWS = 10_000  # corpora of a bootstrap
_CONFIGS = ROOT / "configs"
_OWN = "checkpoint"  # the config of the decoder that the checkpoint names


@dataclass(frozen=True, slots=True)
class Scored:
    """A folder of transcripts, scored.

    Attributes:
        decoder: what the transcripts name as their decoder.
        unreadable: utterances whose audio could not be read; they are not scored.
        sha256: of a JSON list [reference, hypothesis] a line, normalised, in the order of files.
        warnings: a line for each reason for which utterances are not scored.
    """

    decoder: str
    utterances: int
    unreadable: int
    wer: Rate
    cer: Rate
    sha256: str
    warnings: list[str]


def score(folder: Path, test_set: str) -> Scored:
    """Score the ``*.json`` that ``inference.py`` left in ``folder``.

    Args:
        test_set: what the row will call it; a split of LibriSpeech must be whole.

    Raises:
        ManifestError: there are none, they are of several decoders, or a split is not whole.
    """
    predictions = read_objects(folder)
    rows = analyse(predictions, Normalizer())
    unreadable = len(predictions.skipped[FAILED])
    whole = SIZES.get(test_set)
    if whole is not None and len(rows) + unreadable != whole:
        raise ManifestError(
            f"{folder} contains {len(rows) + unreadable} utterances, but {test_set} has {whole}:"
            " recognise the rest, or name what it is with --test-set"
        )
    decoders = {str(row.fields.get("decoder")) for row in rows}
    if len(decoders) != 1 or "None" in decoders:
        raise ManifestError(
            f"{folder} must contain the transcripts of one decoder, but names"
            f" {', '.join(sorted(decoders))}: recognise again with inference.py"
        )
    pairs = ([row.reference, row.hypothesis] for row in rows)
    lines = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
    found = total(rows)
    wer, cer = bootstrap(
        [row.words for row in rows], [row.characters for row in rows], n_draws=_DRAWS
    )
    return Scored(
        decoders.pop(),
        len(rows),
        unreadable,
        _rate(wer, found.words),
        _rate(cer, found.characters),
        hashlib.sha256(lines.encode()).hexdigest(),
        warnings(predictions.skipped),
    )


def _rate(interval: Interval, counts: EditCounts) -> Rate:
    return Rate(**asdict(interval), **asdict(counts))


def decoder_options(own: Mapping[str, Any], command: str, name: str) -> dict[str, Any]:
    """Return the decoder's options: its config's or the checkpoint's, changed by ``command``.

    What is null, and how many threads there were, is left out.

    Args:
        own: the decoder in the checkpoint's recipe.
        command: how ``inference.py`` was called.
        name: of the decoder that the transcripts name.

    Raises:
        ConfigError: command and checkpoint give another decoder than the transcripts name, or
            the command names a config that does not exist.
    """
    # the words of the command that concern the decoder
    chosen, changes = None, {}
    main = "inference"
    words = _words(command)
    for number, word in enumerate(words):
        key, _, value = word.lstrip("+").partition("=")
        if key in ("-cn", "--config-name"):
            main = value or (words[number + 1] if number + 1 < len(words) else "")
        elif key == "decoder":
            chosen = value
        elif key.startswith("decoder."):
            changes[key.removeprefix("decoder.")] = yaml.safe_load(value)
    # the decoder that these make, which must be that of the transcripts
    chosen = chosen or _decoder_of(main) or _OWN
    base = dict(own)
    if chosen != _OWN:
        base = _config(f"decoder/{chosen}", f"decoder={chosen}")
    kind = str(base.pop("name", None) or base.pop("_target_", "")).rpartition(".")[2]
    made = getattr(COMPONENTS.get(kind), "name", None)
    if made != name:
        raise ConfigError(
            f"the transcripts were made by {name}, but the evaluation command gives {made}: give"
            " the command that made them, decoder=... included"
        )
    if chosen == _OWN:  # null leaves the checkpoint's option as it is
        changes = {key: value for key, value in changes.items() if value is not None}
        if "nbest" in base and "beam_size" in changes:
            changes.setdefault("nbest", min(base["nbest"], changes["beam_size"]))
    options = {key: value for key, value in {**base, **changes}.items() if value is not None}
    options.pop("threads", None)
    return options


def language_model(options: Mapping[str, Any], perplexity: float | None) -> LanguageModel | None:
    """Return the language model that a decoder's options name; None if they name none.

    Raises:
        ConfigError: a perplexity is given, but there is no model.
    """
    path = options.get("lm")
    if path is None:
        if perplexity is not None:
            raise ConfigError(
                f"a perplexity of {perplexity:g} is given, but the decoder has no language model"
            )
        return None
    file = resolve(str(path))
    size = file.stat().st_size if file.is_file() else None
    return LanguageModel(Path(str(path)).name, size, perplexity)


def _decoder_of(main: str) -> str | None:
    """The decoder's config that the defaults of a main config name."""
    found = None
    for entry in _config(main, f"-cn={main}").get("defaults", []):
        if isinstance(entry, str):
            if entry != "_self_":
                found = _decoder_of(entry) or found
        else:
            [(group, value)] = entry.items()
            if group.removeprefix("override ").strip() == "decoder":
                found = value
    return found


def _config(name: str, word: str) -> dict[str, Any]:
    """A config's content; ``word`` of the command names it."""
    file = _CONFIGS / f"{name}.yaml"
    if not file.is_file():
        place = file.parent.relative_to(ROOT)
        raise ConfigError(f"{word} does not exist: {place} has no such")
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"{command!r} is no command ({error}): mend its quotes") from error
