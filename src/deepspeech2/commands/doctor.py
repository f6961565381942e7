"""All that can be known before a run: its config, the machine, and every recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from deepspeech2.config.command_line import explain
from deepspeech2.config.components import (
    GROUPS,
    TARGET,
    check_keys,
    create,
    group,
    plain,
    settings_of,
    takes,
    target,
    unused,
)
from deepspeech2.config.loaders import corpora
from deepspeech2.datasets import Corpus, LibriSpeechCorpus, SpokenCorpus
from deepspeech2.errors import ConfigError, SpeechError
from deepspeech2.extras import checks
from deepspeech2.extras.checks import Demand, Finding
from deepspeech2.files import plain_name
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline
from deepspeech2.settings import DataloaderSettings, InferencerSettings, TrainerSettings
from deepspeech2.text import TextEncoder
from deepspeech2.writer import WandbWriter
from deepspeech2.writer.wandb import effective_mode

_STEPS = 1000  # of a schedule that is only built to see whether it can be
_KEY = "Correct this key where the config or the command line sets it."
_DATA = "Correct this part of datasets, or data_dir, or bring the data there."


def doctor(config: DictConfig) -> int:
    """Print what :func:`diagnose` finds; 1 if there is an error, otherwise 0."""
    findings = diagnose(config)
    print(checks.render(findings))
    return int(any(finding.severity == "error" for finding in findings))


def diagnose(config: DictConfig) -> list[Finding]:
    """Check everything; what fails becomes a finding, and the rest is checked all the same.

    Nothing is downloaded or synthesised, and nothing written but the indexes of corpora. A config
    without ``trainer`` is one of recognition, which needs neither transcripts nor checkpoints.
    """
    patient = _Patient(config)
    _examine_config(patient)
    _open_corpora(patient)
    _examine_machine(patient)
    for name, corpus in patient.corpora.items():
        area = f"datasets.{name}"
        patient.findings += checks.judge_size(area, corpus)
        if patient.text_encoder and patient.pipeline and len(corpus):
            patient.findings += checks.judge_transcripts(
                area,
                corpus,
                patient.text_encoder,
                patient.pipeline.output_frames,
                patient.pipeline.front_end.sample_rate,
            )
        patient.findings.append(checks.judge_repetitions(area, corpus))
    patient.findings += checks.judge_overlaps(patient.corpora)
    _listen(patient)
    return patient.findings


@dataclass
class _Patient:
    """What was found so far, and what could be built of the config."""

    config: DictConfig
    findings: list[Finding] = field(default_factory=list)
    settings: TrainerSettings | InferencerSettings | None = None
    dataloader: DataloaderSettings | None = None
    text_encoder: TextEncoder | None = None
    pipeline: Pipeline | None = None
    corpora: dict[str, Corpus] = field(default_factory=dict)
    downloads: dict[str, Demand] = field(default_factory=dict)

    def attempt(self, check: str, make: Callable[[], Any], remedy: str = _KEY) -> Any:
        """What ``make`` returns; None where it fails, which becomes a finding."""
        try:
            return make()
        except (SpeechError, OmegaConfBaseException) as error:
            found = explain(error)
        except OSError as error:
            found = f"{error.filename or check}: {error.strerror or error}"
        self.findings.append(Finding("error", check, found, remedy))
        return None

    def build(self, key: str, *arguments: Any, **derived: Any) -> Any:
        """The object that the group ``key`` describes, or None."""
        return self.attempt(
            f"config: {key}", lambda: create(group(self.config, key), key, *arguments, **derived)
        )


def _examine_config(patient: _Patient) -> None:
    """Every group is built as a run would build it, but for the writer, which would start."""
    config, before = patient.config, len(patient.findings)
    learning = "trainer" in config
    kind: type[TrainerSettings | InferencerSettings] = (
        TrainerSettings if learning else InferencerSettings
    )
    patient.settings = patient.attempt(f"config: {kind.group}", lambda: settings_of(config, kind))
    patient.dataloader = patient.attempt(
        "config: dataloader",
        lambda: settings_of(config, DataloaderSettings),
    )
    if learning:
        patient.text_encoder = patient.build("text_encoder")
        _build_pipeline(patient)
        if patient.text_encoder is not None:
            patient.build("decoder", patient.text_encoder)
        _build_optimizer(patient)
        patient.attempt("config: writer", lambda: _check_writer(group(config, "writer")))
    _look_for_unused(patient)
    if len(patient.findings) == before:
        found = f"every key of {', '.join(name for name in GROUPS if name in config)} is known"
        patient.findings.append(Finding("ok", "config: keys", found))


def _build_pipeline(patient: _Patient) -> None:
    front_end, loss = patient.build("transforms"), patient.build("loss_function")
    if front_end is None or patient.text_encoder is None:
        patient.attempt("config: model", lambda: check_keys(plain(patient.config.model), "model"))
        return
    n_tokens = patient.text_encoder.n_tokens
    network = patient.build("model", n_features=front_end.n_features, n_tokens=n_tokens)
    if network is not None:
        patient.pipeline = Pipeline(front_end, network, loss)


def _build_optimizer(patient: _Patient) -> None:
    if patient.pipeline is None:
        return
    optimizer = patient.build("optimizer", list(patient.pipeline.network.parameters()))
    key = "config: lr_scheduler"
    node = patient.attempt(key, lambda: plain(patient.config.get("lr_scheduler")))
    if optimizer is not None and node:
        takes_steps = patient.attempt(key, lambda: takes(node, "lr_scheduler", "total_steps"))
        if takes_steps is not None:
            derived = {"total_steps": _STEPS} if takes_steps else {}
            patient.build("lr_scheduler", optimizer, **derived)


def _check_writer(node: Mapping[str, Any]) -> None:
    check_keys(node, "writer")
    if node.get("run_name") in (None, "???"):
        raise ConfigError("writer.run_name has no value: give one as writer.run_name=NAME")
    plain_name(str(node["run_name"]), "writer.run_name")


def _look_for_unused(patient: _Patient) -> None:
    """Each key beside the groups that nothing refers to is a finding."""
    for name in unused(patient.config):
        found = f"{name} is no group, and nothing refers to it"
        remedy = "Remove it, or put it below the group that it belongs to."
        patient.findings.append(Finding("error", "config: keys", found, remedy))


def _open_corpora(patient: _Patient) -> None:
    node = patient.config.get("datasets")
    if not isinstance(node, DictConfig) or not len(node):
        remedy = "Choose a group, as in datasets=manifest."
        patient.findings.append(Finding("error", "datasets: all", "none is named", remedy))
        return
    if isinstance(patient.settings, TrainerSettings) and node.get("train") is None:
        remedy = "Name a corpus to learn from in datasets.train."
        patient.findings.append(Finding("error", "datasets: all", "train is missing", remedy))
    for name in map(str, node):
        check = f"datasets.{name}: presence"
        entry = patient.attempt(check, partial(_present, patient, name), _DATA)
        if entry is not None:
            opened = patient.attempt(check, partial(corpora, {name: entry}), _DATA)
            patient.corpora |= opened or {}


def _present(patient: _Patient, name: str) -> Any:
    """The entry of a corpus, narrowed to what is on the disk; None if that is nothing."""
    entry = plain(patient.config.datasets.get(name))
    if not isinstance(entry, Mapping) or TARGET not in entry:
        return entry
    kind = target(entry, f"datasets.{name}")
    check_keys(entry, f"datasets.{name}")
    if not issubclass(kind, LibriSpeechCorpus) or not {"part", "data_dir"} <= entry.keys():
        return entry
    if issubclass(kind, SpokenCorpus):
        folder = resolve(entry["data_dir"])
        if folder.is_dir():
            return entry
        found = f"{folder} does not exist yet: the corpus is synthesised when it is first used"
        patient.findings.append(Finding("ok", f"datasets.{name}: presence", found))
        return None
    if not entry.get("download", True):
        return entry
    root = resolve(entry["data_dir"])
    present, missing = checks.present_and_missing(entry["part"], root)
    if missing:
        finding, demand = checks.judge_missing(f"datasets.{name}", missing, root)
        patient.findings.append(finding)
        patient.downloads[demand.purpose] = demand
        entry = {**entry, "part": present}
    return {**entry, "download": False} if present else None


def _examine_machine(patient: _Patient) -> None:
    settings, dataloader = patient.settings, patient.dataloader
    demands, writer = list(patient.downloads.values()), patient.config.get("writer")
    if isinstance(settings, TrainerSettings) and patient.pipeline is not None:
        size = checks.checkpoint_bytes(
            sum(weight.numel() for weight in patient.pipeline.parameters()),
            ema=settings.ema is not None,
        )
        number = checks.kept_checkpoints(settings.n_epochs, settings.save_period)
        run_name = str(writer.get("run_name", "")) if isinstance(writer, DictConfig) else ""
        demands.append(checks.run_demand(resolve(settings.save_dir) / run_name, size, number))
    if dataloader is not None and dataloader.cache_kind == "disk":
        seconds = sum(corpus.duration for corpus in patient.corpora.values())
        demands.append(checks.cache_demand(resolve(dataloader.cache_dir), seconds))
    machine = checks.gather([demand.place for demand in demands], thorough=True)
    device = settings.device if settings is not None else "auto"
    mode = _wandb_mode(patient)
    patient.findings += checks.judge_machine(machine, device=device, wandb_mode=mode)
    patient.findings += checks.judge_disks(demands, machine.disks)


def _wandb_mode(patient: _Patient) -> str | None:
    """``writer.mode`` where the writer is Weights & Biases."""
    node = patient.config.get("writer")
    with suppress(ConfigError, OmegaConfBaseException):  # a finding of config: writer
        if isinstance(node, DictConfig) and target(node, "writer") is WandbWriter:
            return effective_mode(str(node.get("mode", "online")))
    return None


def _listen(patient: _Patient) -> None:
    heard = {}
    for name, corpus in patient.corpora.items():
        if len(corpus):
            heard[name] = checks.listen(corpus.utterances, description=f"listening to {name}")
            patient.findings += checks.judge_recordings(f"datasets.{name}", heard[name])
    if heard:
        patient.findings += checks.judge_contents(heard)
