"""Training, from a config to the exit status."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from deepspeech2 import checkpoint
from deepspeech2.commands.budget import within_budget
from deepspeech2.commands.training_parts import Parts, first_weights, make_learner, measured
from deepspeech2.config.components import (
    group,
    plain,
    recorded,
    settings_of,
)
from deepspeech2.config.metrics import own_metrics
from deepspeech2.config.optimization import (
    planned,
    planned_before,
)
from deepspeech2.config.writers import open_writers
from deepspeech2.engine import Engine
from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.escaping import without_secrets
from deepspeech2.files import write_whole
from deepspeech2.hardware import cpus, processor
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline
from deepspeech2.processes import start_tracker
from deepspeech2.settings import TrainerSettings
from deepspeech2.trainer import (
    Checkpoints,
    EpochEnd,
    Figures,
    Machine,
    Progress,
    RunFolder,
    RunSummary,
    Trainer,
    TrainingData,
    Validator,
    find_checkpoint,
    logging_to,
    run_path,
    training_plan,
)
from deepspeech2.writer import JsonlWriter, MultiWriter, NullWriter, Writer

log = logging.getLogger(__name__)


def train(config: DictConfig) -> int:
    """Train with ``config``, return the exit status."""
    started = time.monotonic()
    settings = settings_of(config, TrainerSettings)
    start_tracker()
    engine = Engine(settings.device, settings.precision, settings.threads)
    folder = _open_folder(config, settings, engine)
    try:
        with logging_to(folder.path / "info.log", engine.rank), ExitStack() as stack:
            if config.get("budget") is not None:
                measure = partial(measured, engine=engine, folder=folder, started=started)
                config = within_budget(config, measure, _before(settings, folder))
                settings = settings_of(config, TrainerSettings)
            status = _trainer(config, settings, engine, folder, stack).run()
    finally:
        folder.release()
    engine.close()
    return status


def _open_folder(config: DictConfig, settings: TrainerSettings, engine: Engine) -> RunFolder:
    """Open the run's folder on the first rank; the others find it there."""
    path = run_path(settings.save_dir, str(group(config, "writer").get("run_name") or ""))
    start = settings.from_pretrained and resolve(settings.from_pretrained)
    if settings.override and start and start.resolve().is_relative_to(path.resolve()):
        raise ConfigError(
            f"trainer.from_pretrained={settings.from_pretrained} is in the run that"
            " trainer.override=true would move aside: choose another writer.run_name"
        )
    folder = RunFolder(path)
    if engine.is_main:
        folder = RunFolder.open(path, resume=bool(settings.resume_from), override=settings.override)
    engine.barrier()
    return folder


def _before(settings: TrainerSettings, folder: RunFolder) -> Mapping[str, Any]:
    """The config of the checkpoint that is resumed; empty if there is none."""
    resumed = find_checkpoint(folder.path, settings.resume_from) if settings.resume_from else None
    return (checkpoint.load(resumed).get("config") or {}) if resumed else {}


def _trainer(
    config: DictConfig,
    settings: TrainerSettings,
    engine: Engine,
    folder: RunFolder,
    stack: ExitStack,
) -> Trainer:
    """Make the trainer and all that it uses; ``stack`` closes the writer."""
    parts = Parts.of(config, settings, engine, folder)
    text_encoder, pipeline, recipe = parts.text_encoder, parts.pipeline, parts.recipe
    decoders, data, phones = parts.decoders, parts.data, parts.phones
    metrics = own_metrics(config)

    # a checkpoint that does not fit is refused before anything in the folder changes
    resumed = find_checkpoint(folder.path, settings.resume_from) if settings.resume_from else None
    content = checkpoint.load(resumed) if resumed else {}
    if resumed:
        _check_start(settings, content, resumed)
    else:
        first_weights(pipeline, recipe, data, settings, engine)
    learner = make_learner(config, pipeline, data, settings, engine, phones)
    plan = training_plan(data.train, settings, engine.world_size) | planned(config)
    checkpoints = Checkpoints(folder.path, learner, recipe, _saved_config(config, content), plan)
    progress = Progress()
    if resumed:
        progress = checkpoints.resume(content, resumed, planned_before(content, config))
        if resumed.resolve().parent != folder.path.resolve():
            progress.best, progress.waited = None, 0  # of files that are elsewhere
        log.info("Resumed from %s at step %d", resumed, progress.step)
    _check_ranks(engine, progress, folder)

    # what is written while it trains
    if engine.is_main:
        text = OmegaConf.to_yaml(config, resolve=True)
        write_whole(folder.path / "config.yaml", without_secrets(text))
    resume_step = progress.step if settings.resume_from else None
    writer = stack.enter_context(closing(_writer(config, folder.path, engine, resume_step)))
    figures = Figures(writer, pipeline, text_encoder, folder.metrics, settings.seed)
    validator = Validator(learner, decoders, text_encoder, figures, metrics)
    summary = _summary(pipeline, data, engine)
    epoch_end = EpochEnd(settings, learner, data, validator, checkpoints, figures, writer, summary)
    return Trainer(settings, learner, data, epoch_end, checkpoints, writer, progress)


def _check_ranks(engine: Engine, progress: Progress, folder: RunFolder) -> None:
    """Raise CheckpointError if the ranks have resumed at different steps."""
    steps = engine.host.numbers(progress.step)
    if steps.min() != steps.max():
        raise CheckpointError(
            f"the ranks found different checkpoints in {folder.path} (steps"
            f" {int(steps.min())} to {int(steps.max())}): it must be on a disk that all share"
        )


def _check_start(settings: TrainerSettings, content: Mapping[str, Any], path: Path) -> None:
    """Raise CheckpointError if the run began with other weights than the settings name."""
    before, now = (content.get("config") or {}).get("trainer"), settings.from_pretrained
    if not now or not isinstance(before, Mapping):
        return
    then = before.get("from_pretrained")
    if not isinstance(then, str) or resolve(then) != resolve(now):
        raise CheckpointError(
            f"{path} was trained with trainer.from_pretrained={then} where this run has {now}:"
            " resume with the same, or start a new run with another writer.run_name"
        )


def _saved_config(config: DictConfig, resumed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config for checkpoints; one that was resumed keeps what its run started from.

    Args:
        resumed: content of the checkpoint; empty for a new run.
    """
    saved: dict[str, Any] = recorded(plain(config))
    trainer = saved["trainer"]
    if resumed:
        before = (resumed.get("config") or {}).get("trainer")
        trainer = before if isinstance(before, dict) else {}
    saved["trainer"]["from_pretrained"] = trainer.get("from_pretrained")
    return saved


def _writer(config: DictConfig, run_dir: Path, engine: Engine, resume_step: int | None) -> Writer:
    if not engine.is_main:
        return NullWriter()
    files = JsonlWriter(run_dir, resume_step=resume_step)
    derived = {"run_dir": run_dir, "config": recorded(plain(config)), "resume_step": resume_step}
    try:
        return MultiWriter([files, *open_writers(config, derived)])
    except Exception:  # of a user's own writer, too
        files.close()
        raise


def _summary(pipeline: Pipeline, data: TrainingData, engine: Engine) -> RunSummary:
    """Return what the run trains and where, and log it."""
    gpu = "Apple's GPU" if engine.device.type == "mps" else None
    if engine.device.type == "cuda":
        gpu = torch.cuda.get_device_name(engine.device)
    if gpu and engine.world_size > 1:
        gpu = f"{engine.world_size} x {gpu}"
    utterances = data.train.dataset.utterances
    summary = RunSummary(
        parameters=sum(p.numel() for p in pipeline.parameters()),
        device=str(engine.device),
        utterances=len(utterances),
        hours=sum(utterance.duration for utterance in utterances) / 3600,
        machine=Machine(processor(), cpus(), gpu),
    )
    log.info(
        "%.2f M parameters on %s; %d utterances, %.2f h to train on, %.1f %% padding",
        summary.parameters / 1e6,
        summary.device,
        summary.utterances,
        summary.hours,
        100 * data.train.padding(),
    )
    log.info(
        "machine: %s, %d cores; %s; torch %s, %d threads",
        summary.machine.processor,
        summary.machine.cpus,
        gpu or "no GPU",
        torch.__version__,
        torch.get_num_threads(),
    )
    return summary
