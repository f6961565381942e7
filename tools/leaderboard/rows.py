"""Results as rows: ours in ``results.jsonl``, one a line, and others' in ``published.yaml``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from deepspeech2.errors import ManifestError
from deepspeech2.files import locked, write_whole
from deepspeech2.paths import without_paths

T = TypeVar("T")

CHECKED = ConfigDict(strict=True, extra="forbid")
"""Of a dataclass whose values are checked against its annotations."""
_DIGITS = 6  # after the point of every number in the file


@dataclass(frozen=True, slots=True, config=CHECKED)
class Rate:
    """An error rate of a corpus with what it was counted from.

    Attributes:
        value, low, high: fractions, the last two the limits of the 95 % interval over utterances.
        reference: words or characters of all references.
    """

    value: float
    low: float
    high: float
    substitutions: int
    deletions: int
    insertions: int
    reference: int


@dataclass(frozen=True, slots=True, config=CHECKED)
class Machine:
    """What a network was trained on; ``gpu`` is None where the processor did it alone."""

    processor: str
    cpus: int
    gpu: str | None


@dataclass(frozen=True, slots=True, config=CHECKED)
class Training:
    """How a network was trained.

    Attributes:
        corpus: folder and part.
        utterances, hours: of training speech.
        took_hours: of training.
        epochs: finished when the weights were saved.
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


@dataclass(frozen=True, slots=True, config=CHECKED)
class LanguageModel:
    """A language model by its file's name; None for what is not known.

    Attributes:
        perplexity: as ``train_lm.py --held-out`` prints it, on the references of the test set.
    """

    name: str
    size_bytes: int | None
    perplexity: float | None


@dataclass(frozen=True, slots=True, config=CHECKED)
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
        transcripts_sha256: of references and hypotheses, see :mod:`leaderboard.scoring`.
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


@dataclass(frozen=True, slots=True, config=CHECKED)
class Published:
    """A published result.

    Attributes:
        system: its name.
        decoding: greedy, or which language model.
        wer: by test set, in percent.
        source: paper, repository or file.
        url: of the source; None where none was confirmed.
        hours: of training speech.
        parameters: in millions.
        note: what makes it hard to compare.
    """

    system: str
    decoding: str
    wer: dict[str, float]
    source: str
    url: str | None = None
    hours: float | None = None
    parameters: float | None = None
    note: str | None = None


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


def read(path: Path, kind: type[T]) -> list[T]:
    """Return the objects of a file of JSON lines in their order; none where there is no file.

    Args:
        kind: a dataclass of pydantic.

    Raises:
        ManifestError: a line is none of that kind; names its number and the key.
    """
    check, found = TypeAdapter(kind), []
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(check.validate_json(line))
            except ValidationError as error:
                raise ManifestError(f"{path}, line {number}: {fault(error)}; delete it") from error
    return found


def read_published(path: Path) -> list[Published]:
    """Return the published results of a YAML file in its order.

    Raises:
        ManifestError: the file is missing or malformed; names the entry.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ManifestError(f"{path} cannot be read ({reason}): mend or restore it") from error
    entries = content.get("results") if isinstance(content, Mapping) else None
    if not isinstance(entries, list):
        raise ManifestError(f"{path} must have a list 'results', but has none")
    check, found = TypeAdapter(Published), []
    for number, entry in enumerate(entries, 1):
        try:
            found.append(check.validate_json(json.dumps(entry, default=str)))
        except ValidationError as error:
            raise ManifestError(f"{path}, result {number}: {fault(error)}") from error
    return found


def fault(error: ValidationError) -> str:
    """Return every mistake: the key, what is wrong, and the value."""
    faults = []
    for each in error.errors():
        key = f"{'.'.join(map(str, each['loc']))}: " if each["loc"] else ""
        value = json.dumps(each["input"], default=str)[:60]
        end = "" if each["type"] == "missing" else f", but is {value}"
        faults.append(f"{key}{each['msg']}{end}")
    return "; ".join(faults)


def latest(results: Iterable[Result]) -> list[Result]:
    """Of several recordings of one checkpoint, test set and decoder return the last."""
    found: dict[tuple[str, ...], Result] = {}
    for result in results:
        options = json.dumps(_effective(result.decoder_options), sort_keys=True)
        found[result.checkpoint_sha256, result.test_set, result.decoder, options] = result
    return list(found.values())


def ordered(results: Sequence[Result]) -> list[Result]:
    """Return the latest of each, by test set, then the best first."""
    return sorted(
        latest(results), key=lambda each: (each.test_set, each.wer.value, each.recipe, each.decoder)
    )


def _effective(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without those that change nothing, which older records may lack."""
    without = set()
    if not options.get("hotwords"):
        without |= {"hotwords", "hotword_weight"}
    if not options.get("prior_weight"):
        without |= {"prior", "prior_weight"}
    return {key: value for key, value in options.items() if key not in without}


def _plain(value: Any) -> Any:
    """``value`` with shorter numbers, and with paths cut."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return without_paths(value)
    return round(value, _DIGITS) if isinstance(value, float) else value
