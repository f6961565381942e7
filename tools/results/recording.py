"""From a run and its transcripts to a row of results."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deepspeech2 import checkpoint
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.errors import CheckpointError, ConfigError, ManifestError
from deepspeech2.files import write_whole
from results.decoding import language_model, options
from results.rows import Machine, Result, Training
from results.scoring import Scored

LOG = "info.log"
PICTURES = ("loss", "error_rates")
"""Of a run's ``plots``."""
CURVES = "curves"
"""The folder beside the results where they are kept."""
_STARTED = re.compile(r"([\d.]+) M parameters on (\S+); (\d+) utterances, ([\d.]+) h to train on")
_MACHINE = re.compile(r"machine: (.*), (\d+) cores; (?:no GPU|(?:1 x )?(.+?)); torch ")
_EPOCH = re.compile(r"epoch \d+/\d+  .*\(([\d.]+) min\)")


@dataclass(frozen=True, slots=True)
class Given:
    """What the run's folder does not tell, or what is to be taken in the place of what it tells.

    Attributes:
        command, evaluation: see :class:`results.rows.Result`.
        machine: that trained; None: from the run's log.
        recipe: None: the run's name in its config.
        corpus: None: from the config.
        utterances, hours: of training speech; None: from the run's log.
        took_hours: of training; None: from the run's log.
        perplexity: of the language model.
    """

    command: str
    evaluation: str
    machine: Machine | None = None
    recipe: str | None = None
    corpus: str | None = None
    utterances: int | None = None
    hours: float | None = None
    took_hours: float | None = None
    perplexity: float | None = None


@dataclass(frozen=True, slots=True)
class RunLog:
    """What a run's ``info.log`` tells; None for what it does not.

    Attributes:
        parameters: of the network, in millions as the log writes them.
        device: cpu, cuda:0 ...
        utterances, hours: of training speech.
        took_hours: of training up to the last epoch.
        machine: that trained.
    """

    parameters: str | None = None
    device: str | None = None
    utterances: int | None = None
    hours: float | None = None
    took_hours: float | None = None
    machine: Machine | None = None

    @classmethod
    def read(cls, path: Path) -> RunLog:
        """Of a run that was resumed, what was written last."""
        if not path.is_file():
            return cls()
        text = path.read_text(encoding="utf-8", errors="replace")
        started, epochs = _STARTED.findall(text), _EPOCH.findall(text)
        took = float(epochs[-1]) / 60 if epochs else None
        if not started:
            return cls(took_hours=took)
        parameters, device, utterances, hours = started[-1]
        named = _MACHINE.findall(text)
        machine = Machine(named[-1][0], int(named[-1][1]), named[-1][2] or None) if named else None
        return cls(parameters, device, int(utterances), float(hours), took, machine)


def record(path: Path, test_set: str, scored: Scored, given: Given) -> Result:
    """A row for the checkpoint ``path`` and the transcripts that were made with it.

    Raises:
        CheckpointError: the file is no checkpoint, or its folder's log is of another network.
        ConfigError: neither the log nor ``given`` tells something, or they contradict.
    """
    content = checkpoint.load(path)
    recipe, config = content["recipe"], content.get("config") or {}
    pipeline = checkpoint.restore(content, path, decoder=GreedyDecoder).pipeline
    parameters = sum(weight.numel() for weight in pipeline.parameters())
    log = RunLog.read(path.parent / LOG)
    if log.parameters is not None and f"{parameters / 1e6:.2f}" != log.parameters:
        raise CheckpointError(
            f"{path.parent / LOG} tells of {log.parameters} M parameters, but {path.name} has"
            f" {parameters / 1e6:.2f} M: record the checkpoint in its own run's folder"
        )
    chosen = options(recipe.get("decoder") or {}, given.evaluation, scored.decoder)
    return Result(
        recipe=given.recipe or _needed(at(config, "writer", "run_name"), "recipe"),
        command=given.command,
        evaluation=given.evaluation,
        training=_training(content, config, log, given),
        model=str(recipe["model"]["name"]),
        parameters=parameters,
        decoder=scored.decoder,
        decoder_options=chosen,
        language_model=language_model(chosen, given.perplexity),
        test_set=test_set,
        utterances=scored.utterances,
        unreadable=scored.unreadable,
        wer=scored.wer,
        cer=scored.cer,
        date=datetime.now(UTC).date().isoformat(),
        checkpoint_sha256=_sha256(path),
        transcripts_sha256=scored.sha256,
        versions={"python": platform.python_version(), "torch": version("torch")},
        curves=[
            f"{CURVES}/{_curve(path, name)}" for name in PICTURES if _plot(path, name).is_file()
        ],
    )


def keep_curves(path: Path, folder: Path) -> None:
    """Copy the pictures of the run that ``path`` lies in to where its row looks for them.

    Raises:
        ManifestError: one cannot be copied.
    """
    for name in PICTURES:
        if _plot(path, name).is_file():
            target = folder / CURVES / _curve(path, name)
            try:
                write_whole(target, _plot(path, name).read_bytes())
            except OSError as error:
                raise ManifestError(f"{target} cannot be written ({error.strerror})") from error


def _plot(path: Path, name: str) -> Path:
    return path.parent / "plots" / f"{name}.png"


def _curve(path: Path, name: str) -> str:
    return f"{_sha256(path)[:12]}-{name}.png"


def _training(
    content: Mapping[str, Any], config: Mapping[str, Any], log: RunLog, given: Given
) -> Training:
    machine = given.machine or log.machine
    if machine is None:
        raise ConfigError(
            f"the run's {LOG} does not name its machine: give --processor and --cpus, with --gpu"
            " if any, or --trained-here"
        )
    if log.device == "cpu":
        machine = Machine(machine.processor, machine.cpus, None)
    elif log.device is not None and machine.gpu is None:
        raise ConfigError(f"the run's log says that it ran on {log.device}: name it with --gpu")
    start = at(config, "trainer", "from_pretrained")
    return Training(
        corpus=given.corpus or _corpus(at(config, "datasets", "train")),
        utterances=_needed(given.utterances or log.utterances, "utterances"),
        hours=_needed(given.hours or log.hours, "hours"),
        took_hours=_needed(given.took_hours or log.took_hours, "took-hours"),
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
            f"neither the checkpoint nor the run's {LOG} beside it tells what --{option} is for:"
            f" give --{option}"
        )
    return value


def at(node: Any, *keys: str) -> Any:
    """What stands under ``keys``, one within the other; None where there is none."""
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
