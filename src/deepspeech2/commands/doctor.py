"""Check what can be known before a run: its config, the machine, and every recording."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from deepspeech2.config.components import GROUPS, TARGET, check_keys, plain, target
from deepspeech2.config.loaders import corpora, map_corpora
from deepspeech2.config.trial import Trial, attempt
from deepspeech2.config.writers import writer_nodes
from deepspeech2.datasets import Corpus, LibriSpeechCorpus, SpokenCorpus
from deepspeech2.errors import ConfigError
from deepspeech2.extras import checks
from deepspeech2.extras.checks import Demand, Finding
from deepspeech2.paths import resolve
from deepspeech2.settings import TrainerSettings
from deepspeech2.writer import WandbWriter
from deepspeech2.writer.wandb import effective_mode

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
    trial, data = Trial(config), _Data(config)
    findings = [Finding("error", f"config: {key}", text, _KEY) for key, text in trial.problems]
    for name in trial.unused:
        found = f"{name} is no group, and nothing refers to it"
        remedy = "Remove it, or put it below the group that it belongs to."
        findings.append(Finding("error", "config: keys", found, remedy))
    if not findings:
        found = f"every key of {', '.join(name for name in GROUPS if name in config)} is known"
        findings.append(Finding("ok", "config: keys", found))
    data.open(training=isinstance(trial.settings, TrainerSettings))
    findings += data.findings
    findings += _check_machine(trial, data)
    return findings + checks.check_corpora(data.corpora, trial.text_encoder, trial.pipeline)


class _Data:
    """The corpora that are on the disk, findings about the others, and their downloads."""

    def __init__(self, config: DictConfig) -> None:
        self._node = config.get("datasets")
        self.corpora: dict[str, Corpus] = {}
        self.findings: list[Finding] = []
        self.downloads: list[Demand] = []

    def open(self, *, training: bool) -> None:
        if not isinstance(self._node, DictConfig) or not len(self._node):
            remedy = "Choose a group, as in datasets=manifest."
            self.findings.append(Finding("error", "datasets: all", "none is named", remedy))
            return
        if training and self._node.get("train") is None:
            remedy = "Name a corpus to learn from in datasets.train."
            self.findings.append(Finding("error", "datasets: all", "train is missing", remedy))
        for name in map(str, self._node):
            check = f"datasets.{name}: presence"
            opened, problem = attempt(partial(self._open_one, name), check)
            self.corpora |= opened or {}
            if problem is not None:
                self.findings.append(Finding("error", check, problem, _DATA))

    def _open_one(self, name: str) -> dict[str, Corpus]:
        entry = map_corpora(self._present, plain(self._node.get(name)), f"datasets.{name}")
        return {} if entry is None else corpora({name: entry})

    def _present(self, entry: Any, area: str) -> Any:
        """The entry of a corpus, narrowed to what is on the disk; None if that is nothing."""
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


def _check_machine(trial: Trial, data: _Data) -> list[Finding]:
    """Check the machine, and whether its disks have the room that the run needs."""
    demands, settings, writer = list(data.downloads), trial.settings, trial.config.get("writer")
    if isinstance(settings, TrainerSettings) and trial.pipeline is not None:
        n_parameters = sum(weight.numel() for weight in trial.pipeline.parameters())
        run_name = str(writer.get("run_name", "")) if isinstance(writer, DictConfig) else ""
        folder = resolve(settings.save_dir) / run_name
        demands.append(checks.checkpoint_demand(folder, n_parameters, settings))
    if trial.dataloader is not None and trial.dataloader.cache_kind == "disk":
        seconds = sum(corpus.duration for corpus in data.corpora.values())
        demands.append(checks.cache_demand(resolve(trial.dataloader.cache_dir), seconds))
    device = settings.device if settings is not None else "auto"
    machine = checks.gather(thorough=True)
    findings = checks.judge_machine(machine, device)
    check = "machine: W&B"
    wandb, problem = attempt(lambda: checks.judge_wandb(machine, _wandb_mode(trial.config)), check)
    findings.append(wandb or Finding("error", check, str(problem), _KEY))
    return findings + checks.judge_disks(demands)


def _wandb_mode(config: DictConfig) -> str | None:
    """The mode of Weights & Biases where it is the writer, or one of several.

    Raises:
        ConfigError: there is no such mode, here or in WANDB_MODE.
    """
    modes = []
    with suppress(ConfigError, OmegaConfBaseException):  # a finding of config: writer
        nodes = writer_nodes(config).items()
        modes = [node.get("mode", "online") for k, node in nodes if target(node, k) is WandbWriter]
    return effective_mode(str(modes[0])) if modes else None
