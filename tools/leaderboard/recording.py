"""From a run and its transcripts to a row of results."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from deepspeech2 import checkpoint
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.errors import CheckpointError, ConfigError, ManifestError
from deepspeech2.extras.interchange.predecessor import at
from deepspeech2.files import write_whole
from leaderboard.rows import Machine, Result, Training, fault
from leaderboard.scoring import Scored, decoder_options, language_model

SUMMARY = "run.json"
PICTURES = ("loss", "error_rates")
"""Of a run's ``plots``."""
CURVES = "curves"
"""The folder beside the results where they are saved."""


@dataclass(frozen=True, slots=True, config=ConfigDict(strict=True))
class Summary:
    """A run's ``run.json``; what is not known is None.

    Attributes:
        parameters: of front end, network and loss.
        device: cpu, cuda:0 ...
        utterances, hours: of training speech.
        took_hours: of training up to the last epoch.
        machine: that trained.
    """

    parameters: int | None = None
    device: str | None = None
    utterances: int | None = None
    hours: float | None = None
    took_hours: float | None = None
    machine: Machine | None = None

    @classmethod
    def read(cls, path: Path) -> Summary:
        """Return what ``path`` contains, hours of speech with two digits.

        Raises:
            ManifestError: it is malformed.
        """
        if not path.is_file():
            return cls()
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            found = TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            raise ManifestError(f"{path} is no summary of a run: {fault(error)}") from error
        return found if found.hours is None else replace(found, hours=round(found.hours, 2))


def record(
    path: Path,
    test_set: str,
    scored: Scored,
    *,
    command: str,
    evaluation: str,
    recipe: str | None = None,
    corpus: str | None = None,
    perplexity: float | None = None,
    **facts: Any,
) -> Result:
    """Return a row for the checkpoint ``path`` and the transcripts that were made with it.

    Args:
        command, evaluation: see :class:`leaderboard.rows.Result`.
        recipe, corpus: None: those of the config in the checkpoint.
        perplexity: of the language model.
        facts: replace those of the run's :class:`Summary`.

    Raises:
        CheckpointError: the file is no checkpoint, or its folder has the summary of another run.
        ConfigError: neither the summary nor ``facts`` has something, or they contradict.
        ManifestError: the summary is malformed.
    """
    content = checkpoint.load(path)
    parts, config = content["recipe"], content.get("config") or {}
    pipeline = checkpoint.restore(content, path, decoder=GreedyDecoder).pipeline
    parameters = sum(weight.numel() for weight in pipeline.parameters())
    summary = Summary.read(path.parent / SUMMARY)
    if summary.parameters not in (None, parameters):
        raise CheckpointError(
            f"{path.parent / SUMMARY} is of {summary.parameters:,} parameters, but {path.name} has"
            f" {parameters:,}: record the checkpoint in its own run's folder"
        )
    training = _training(content, config, replace(summary, **facts), corpus)
    chosen = decoder_options(parts.get("decoder") or {}, evaluation, scored.decoder)
    return Result(
        recipe=recipe or _needed(at(config, "writer", "run_name"), "recipe"),
        command=command,
        evaluation=evaluation,
        training=training,
        model=str(parts["model"]["name"]),
        parameters=parameters,
        decoder=scored.decoder,
        decoder_options=chosen,
        language_model=language_model(chosen, perplexity),
        test_set=test_set,
        utterances=scored.utterances,
        unreadable=scored.unreadable,
        wer=scored.wer,
        cer=scored.cer,
        date=datetime.now(UTC).date().isoformat(),
        checkpoint_sha256=_sha256(path),
        transcripts_sha256=scored.sha256,
        versions={"python": platform.python_version(), "torch": version("torch")},
        curves=[f"{CURVES}/{name}" for name in _pictures(path)],
    )


def save_curves(path: Path, folder: Path) -> None:
    """Copy the pictures of the run of the checkpoint ``path`` to where its row refers to them.

    Raises:
        ManifestError: one cannot be copied.
    """
    for name, plot in _pictures(path).items():
        target = folder / CURVES / name
        try:
            write_whole(target, plot.read_bytes())
        except OSError as error:
            raise ManifestError(f"{target} cannot be written ({error.strerror})") from error


def _pictures(path: Path) -> dict[str, Path]:
    """The pictures of a checkpoint's run, by the names under which they are saved."""
    plots = {name: path.parent / "plots" / f"{name}.png" for name in PICTURES}
    digest = _sha256(path)[:12]
    return {f"{digest}-{name}.png": plot for name, plot in plots.items() if plot.is_file()}


def _training(
    content: Mapping[str, Any], config: Mapping[str, Any], summary: Summary, corpus: str | None
) -> Training:
    machine = summary.machine
    if machine is None:
        raise ConfigError(
            f"the run has no {SUMMARY} that names its machine: give --processor and --cpus, with"
            " --gpu if any, or --trained-here"
        )
    if summary.device == "cpu":
        machine = Machine(machine.processor, machine.cpus, None)
    elif summary.device is not None and machine.gpu is None:
        raise ConfigError(f"the run's {SUMMARY} names {summary.device}: name the GPU with --gpu")
    start = at(config, "trainer", "from_pretrained")
    return Training(
        corpus=corpus or _corpus(at(config, "datasets", "train")),
        utterances=_needed(summary.utterances, "utterances"),
        hours=_needed(summary.hours, "hours"),
        took_hours=_needed(summary.took_hours, "took-hours"),
        machine=machine,
        epochs=int(content.get("epoch", 0)),
        seed=at(config, "trainer", "seed"),
        weights=str(content.get("weights", "plain")),
        started_from=None if start is None else str(start),
    )


def _corpus(node: Any) -> str:
    """Folder and part of a corpus' config, for example ``librispeech/train-clean-100``."""
    node = node if isinstance(node, Mapping) else {}
    part = node.get("part") or node.get("manifest") or node.get("directory")
    name = "+".join(part) if isinstance(part, list) else part and Path(str(part)).stem
    folder = Path(str(node.get("data_dir") or "")).name
    return str(_needed(f"{folder}/{name}" if folder and name else name, "corpus"))


def _needed(value: Any, option: str) -> Any:
    if value is None:
        raise ConfigError(
            f"neither the checkpoint nor a {SUMMARY} beside it has what --{option} is for: give"
            f" --{option}"
        )
    return value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
