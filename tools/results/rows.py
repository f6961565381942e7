"""``results.jsonl``: one measured result a line, with all that it takes to measure it again."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from deepspeech2.errors import ManifestError
from deepspeech2.files import locked, write_whole
from deepspeech2.paths import without_paths

_DIGITS = 6  # after the point of every number in the file


@dataclass(frozen=True, slots=True)
class Rate:
    """An error rate of a corpus with what it was counted from.

    Attributes:
        value, low, high: fractions; 95 % of the corpora drawn anew lie between the bounds.
        reference: words or characters of all references.
    """

    value: float
    low: float
    high: float
    substitutions: int
    deletions: int
    insertions: int
    reference: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What a network was trained on; ``gpu`` is None where the processor did it alone."""

    processor: str
    cpus: int
    gpu: str | None


@dataclass(frozen=True, slots=True)
class Training:
    """How a network was trained.

    Attributes:
        corpus: folder and part.
        utterances, hours: of speech, those that were learnt from.
        took_hours: of training.
        epochs: finished when the weights were kept.
        weights: plain, or which average.
        started_from: file of the weights that it began with; None: from scratch.
    """

    corpus: str
    utterances: int
    hours: float
    took_hours: float
    machine: Machine
    epochs: int
    seed: int | None
    weights: str
    started_from: str | None


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A language model by its file's name; None for what was not said.

    Attributes:
        perplexity: as ``train_lm.py --held-out`` prints it, on the references of the test set.
    """

    name: str
    size_bytes: int | None
    perplexity: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A test set recognised by a network.

    Attributes:
        recipe: the run's name.
        command: makes the checkpoint again.
        evaluation: makes the transcripts from it.
        decoder, decoder_options: what turned the network's output into text.
        unreadable: utterances whose audio could not be read, which are not scored.
        date: of the recording, YYYY-MM-DD.
        checkpoint_sha256: of the file.
        transcripts_sha256: of references and hypotheses, see :mod:`results.scoring`.
        versions: of packages when it was recorded.
        curves: pictures of the training, below the folder of ``results.jsonl``.
    """

    recipe: str
    command: str
    evaluation: str
    training: Training
    model: str
    parameters: int
    decoder: str
    decoder_options: dict[str, Any]
    language_model: LanguageModel | None
    test_set: str
    utterances: int
    unreadable: int
    wer: Rate
    cer: Rate
    date: str
    checkpoint_sha256: str
    transcripts_sha256: str
    versions: dict[str, str]
    curves: list[str]


def append(path: Path, *results: Result) -> None:
    """Add a line for each, all or none; absolute paths are cut to their last component.

    Raises:
        ManifestError: the file cannot be written.
    """
    lines = [json.dumps(_plain(asdict(result)), ensure_ascii=False) + "\n" for result in results]
    try:
        with locked(path.with_name(f".{path.name}.lock")):
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            write_whole(path, before + "".join(lines))
    except OSError as error:
        raise ManifestError(f"{path} cannot be written ({error.strerror}): free space") from error


def read(path: Path) -> list[Result]:
    """All results in the order of their lines; none where there is no file.

    Raises:
        ManifestError: a line is no result; names its number and what is wrong.
    """
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                found.append(_build(Result, json.loads(line), "result"))
            except ValueError as error:
                raise ManifestError(f"{path}, line {number}: {error}; delete it") from error
    return found


def latest(results: Iterable[Result]) -> list[Result]:
    """Of several recordings of one checkpoint, test set and decoder the last."""
    found: dict[tuple[str, ...], Result] = {}
    for result in results:
        options = json.dumps(_effective(result.decoder_options), sort_keys=True)
        found[result.checkpoint_sha256, result.test_set, result.decoder, options] = result
    return list(found.values())


def _effective(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without those that change nothing, which older records may lack."""
    without = set()
    if not options.get("hotwords"):
        without |= {"hotwords", "hotword_weight"}
    if not options.get("prior_weight"):
        without |= {"prior", "prior_weight"}
    return {key: value for key, value in options.items() if key not in without}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return without_paths(value)
    return round(value, _DIGITS) if isinstance(value, float) else value


def _build(cls: type[Any], value: Any, name: str) -> Any:
    """A dataclass from what JSON made of it; ValueError for a wrong key or type."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, but is {json.dumps(value)[:60]}")
    known = {field.name for field in fields(cls)}
    if known != set(value):
        wrong = ", ".join(sorted(known ^ set(value)))
        raise ValueError(f"{name} has missing or unknown keys: {wrong}")
    hints = get_type_hints(cls)
    return cls(**{key: _checked(hints[key], each, key) for key, each in value.items()})


def _checked(hint: Any, value: Any, name: str) -> Any:
    options = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    kind = options[0]
    if is_dataclass(kind) and isinstance(kind, type):
        return _build(kind, value, name)
    allowed = (int, float) if kind is float else (get_origin(kind) or kind,)
    if not isinstance(value, allowed) or isinstance(value, bool):
        raise ValueError(f"{name} must be {kind}, but is {json.dumps(value)[:60]}")
    return value
