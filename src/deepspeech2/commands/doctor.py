"""Check what can be known before a run: its config, the machine, and every recording."""

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
)  # fmt: skip
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
    diagnosis = _Diagnosis(config)
    diagnosis.check_config()
    diagnosis.open_corpora()
    diagnosis.check_machine()
    return diagnosis.findings + checks.check_corpora(
        diagnosis.corpora, diagnosis.text_encoder, diagnosis.pipeline
    )


@dataclass
class _Diagnosis:
    """The findings so far, and what could be built from the config."""

    config: DictConfig
    findings: list[Finding] = field(default_factory=list)
    settings: TrainerSettings | InferencerSettings | None = None
    dataloader: DataloaderSettings | None = None
    text_encoder: TextEncoder | None = None
    pipeline: Pipeline | None = None
    corpora: dict[str, Corpus] = field(default_factory=dict)
    downloads: list[Demand] = field(default_factory=list)

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

    def check_config(self) -> None:
        """Build every group as a run would, but for the writer, which would start."""
        config, training = self.config, "trainer" in self.config
        kind: type[Any] = TrainerSettings if training else InferencerSettings
        self.settings = self.attempt(f"config: {kind.group}", lambda: settings_of(config, kind))
        self.dataloader = self.attempt(
            "config: dataloader", lambda: settings_of(config, DataloaderSettings)
        )
        if training:
            self.build_training()
            self.attempt("config: writer", lambda: _check_writer(group(config, "writer")))
        for name in unused(config):
            found = f"{name} is no group, and nothing refers to it"
            remedy = "Remove it, or put it below the group that it belongs to."
            self.findings.append(Finding("error", "config: keys", found, remedy))
        if not self.findings:
            found = f"every key of {', '.join(name for name in GROUPS if name in config)} is known"
            self.findings.append(Finding("ok", "config: keys", found))

    def build_training(self) -> None:
        """Build what a training run has; what depends on a part that fails is left out."""
        encoder = self.text_encoder = self.build("text_encoder")
        front_end, loss = self.build("transforms"), self.build("loss_function")
        if encoder is None or front_end is None:
            self.attempt("config: model", lambda: check_keys(plain(self.config.model), "model"))
        else:
            derived = {"n_features": front_end.n_features, "n_tokens": encoder.n_tokens}
            network = self.build("model", **derived)
            if network is not None:
                self.pipeline = Pipeline(front_end, network, loss)
        if encoder is not None:
            self.build("decoder", encoder)
        if self.pipeline is not None:
            optimizer = self.build("optimizer", list(self.pipeline.network.parameters()))
            if optimizer is not None:
                self.attempt("config: lr_scheduler", lambda: self.build_schedule(optimizer))

    def build_schedule(self, optimizer: Any) -> None:
        node, key = plain(self.config.get("lr_scheduler")), "lr_scheduler"
        if node:
            derived = {"total_steps": _STEPS} if takes(node, key, "total_steps") else {}
            create(group(self.config, key), key, optimizer, **derived)

    def open_corpora(self) -> None:
        """Open the corpora that are on the disk; report those that are not."""
        node = self.config.get("datasets")
        if not isinstance(node, DictConfig) or not len(node):
            remedy = "Choose a group, as in datasets=manifest."
            self.findings.append(Finding("error", "datasets: all", "none is named", remedy))
            return
        if isinstance(self.settings, TrainerSettings) and node.get("train") is None:
            remedy = "Name a corpus to learn from in datasets.train."
            self.findings.append(Finding("error", "datasets: all", "train is missing", remedy))
        for name in map(str, node):
            check = f"datasets.{name}: presence"
            entry = self.attempt(check, partial(self.present, name), _DATA)
            if entry is not None:
                opened = self.attempt(check, partial(corpora, {name: entry}), _DATA)
                self.corpora |= opened or {}

    def present(self, name: str) -> Any:
        """The entry of a corpus, narrowed to what is on the disk; None if that is nothing."""
        entry, area = plain(self.config.datasets.get(name)), f"datasets.{name}"
        if not isinstance(entry, Mapping) or TARGET not in entry:
            return entry
        kind = target(entry, area)
        check_keys(entry, area)
        if not issubclass(kind, LibriSpeechCorpus) or not {"part", "data_dir"} <= entry.keys():
            return entry
        root = resolve(entry["data_dir"])
        if issubclass(kind, SpokenCorpus):
            if root.is_dir():
                return entry
            found = f"{root} does not exist yet: the corpus is synthesised when it is first used"
            self.findings.append(Finding("ok", f"{area}: presence", found))
            return None
        if not entry.get("download", True):
            return entry
        present, missing = checks.present_and_missing(entry["part"], root)
        if missing:
            finding, demand = checks.judge_missing(area, missing, root)
            self.findings.append(finding)
            if demand not in self.downloads:  # two corpora may need the same splits
                self.downloads.append(demand)
            entry = {**entry, "part": present}
        return {**entry, "download": False} if present else None

    def check_machine(self) -> None:
        """Check the machine, and whether its disks have the room that the run needs."""
        demands, settings, writer = list(self.downloads), self.settings, self.config.get("writer")
        if isinstance(settings, TrainerSettings) and self.pipeline is not None:
            n_parameters = sum(weight.numel() for weight in self.pipeline.parameters())
            run_name = str(writer.get("run_name", "")) if isinstance(writer, DictConfig) else ""
            folder = resolve(settings.save_dir) / run_name
            demands.append(checks.checkpoint_demand(folder, n_parameters, settings))
        if self.dataloader is not None and self.dataloader.cache_kind == "disk":
            seconds = sum(corpus.duration for corpus in self.corpora.values())
            demands.append(checks.cache_demand(resolve(self.dataloader.cache_dir), seconds))
        device = settings.device if settings is not None else "auto"
        machine = checks.gather(thorough=True)
        self.findings += checks.judge_machine(machine, device)
        finding = self.attempt(
            "machine: W&B", lambda: checks.judge_wandb(machine, _wandb_mode(writer))
        )
        if finding is not None:
            self.findings.append(finding)
        self.findings += checks.judge_disks(demands)


def _check_writer(node: Mapping[str, Any]) -> None:
    check_keys(node, "writer")
    if node.get("run_name") in (None, "???"):
        raise ConfigError("writer.run_name has no value: give one as writer.run_name=NAME")
    plain_name(str(node["run_name"]), "writer.run_name")


def _wandb_mode(node: Any) -> str | None:
    """``writer.mode`` where the writer is Weights & Biases.

    Raises:
        ConfigError: there is no such mode, here or in WANDB_MODE.
    """
    used = False
    with suppress(ConfigError, OmegaConfBaseException):  # a finding of config: writer
        used = isinstance(node, DictConfig) and target(node, "writer") is WandbWriter
    return effective_mode(str(node.get("mode", "online"))) if used else None
