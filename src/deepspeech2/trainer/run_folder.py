"""The folder of a run: ``saved/<run_name>/``."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock

from deepspeech2 import checkpoint
from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.files import lock, plain_name, sweep, write_whole
from deepspeech2.paths import move_aside, resolve

log = logging.getLogger(__name__)

LAST = "checkpoint-last.pth"
BEST = "model_best.pth"
METRICS = "metrics.jsonl"
SUMMARY = "run.json"


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, usable cores, and the GPU by name (``2 x`` before it for two ranks) or None."""

    processor: str
    cpus: int
    gpu: str | None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run trains and where, for ``run.json``.

    Attributes:
        parameters: of front end, network and loss.
        device: cpu, cuda:0 ...
        utterances, hours: of training speech.
        machine: that trains.
    """

    parameters: int
    device: str
    utterances: int
    hours: float
    machine: Machine


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of a run, and the rule that nothing in it is overwritten unasked.

    Attributes:
        lock: is held by the process that trains there, or None for its other ranks.
    """

    path: Path
    lock: FileLock | None = field(default=None, compare=False, repr=False)

    @classmethod
    def open(cls, save_dir: str, run_name: str, *, resume: str | None, override: bool) -> RunFolder:
        """Make the folder, or find it again to resume.

        Raises:
            ConfigError: it holds a run and neither resuming nor ``override`` is asked for, another
                process trains there, or it cannot be made.
        """
        path = resolve(save_dir) / plain_name(run_name, "writer.run_name")
        occupied = _holds_a_run(path)
        if occupied and override and not resume:
            _locked(path).release()
            log.warning("The earlier run was moved to %s", move_aside(path))
        elif occupied and not resume:
            raise ConfigError(
                f"{path} holds a run already: choose another writer.run_name, go on with"
                " trainer.resume_from=auto, or move it aside with trainer.override=true"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be made ({error.strerror}): choose another trainer.save_dir"
            ) from error
        held = _locked(path)
        sweep(path)
        if not occupied:
            (path / METRICS).unlink(missing_ok=True)  # empty: of a start that failed
        return cls(path, held)

    def release(self) -> None:
        """Let another process train here."""
        if self.lock is not None:
            self.lock.release(force=True)

    @property
    def best(self) -> Path:
        return self.path / BEST

    @property
    def last(self) -> Path:
        return self.path / LAST

    def summarize(self, facts: RunFacts, *, epochs: int, seconds: float) -> None:
        """Write ``run.json``, which other tools read: the facts and how far training is.

        Args:
            epochs: finished.
            seconds: of training, up to the last of them.
        """
        content = {**asdict(facts), "epochs": epochs, "took_hours": seconds / 3600}
        try:
            write_whole(self.path / SUMMARY, json.dumps(content, indent=2) + "\n")
        except OSError as error:
            log.error("%s cannot be written (%s): training goes on", self.path / SUMMARY, error)

    def epoch(self, number: int) -> Path:
        return self.path / f"checkpoint-epoch{number}.pth"

    def epochs(self) -> list[Path]:
        """The kept checkpoints of epochs."""
        return sorted(self.path.glob("checkpoint-epoch*.pth"))

    def find(self, resume: str) -> Path | None:
        """The checkpoint to resume from; None if ``auto`` finds none.

        Raises:
            CheckpointError: a named one does not exist, would undo what came after it or belongs
                to another run than the one that is here, or ``auto`` can read none of those that
                there are.
        """
        if resume == "auto":
            newest = self._newest()
            if newest is None:
                log.info("No checkpoint in %s to resume from", self.path)
            return newest
        for candidate in (self.path / resume, resolve(resume)):
            if candidate.is_file():
                self._refuse_to_mix(candidate)
                self._refuse_to_go_back(candidate)
                return candidate
        raise CheckpointError(
            f"trainer.resume_from={resume} is neither in {self.path} nor a path: use auto, or one"
            f" of {', '.join(sorted(file.name for file in self.path.glob('*.pth'))) or 'none'}"
        )

    def _refuse_to_mix(self, chosen: Path) -> None:
        """Another run's checkpoint would make a third run of this one, and overwrite it."""
        if chosen.resolve().parent != self.path.resolve() and any(self.path.glob("*.pth")):
            raise CheckpointError(
                f"{self.path} holds another run than that of trainer.resume_from={chosen}: choose"
                " another writer.run_name to go on from there, or trainer.resume_from=auto to go on"
                " with the one that is here"
            )

    def _refuse_to_go_back(self, chosen: Path) -> None:
        """A run that went on from before its own checkpoints would overwrite them one by one."""
        if chosen.resolve().parent != self.path.resolve():
            return
        newest = self._newest()
        if newest is None or newest == chosen:
            return
        ours, theirs = (checkpoint.load(file) for file in (chosen, newest))
        if "training" in ours and ours["step"] < theirs["step"]:
            raise CheckpointError(
                f"{chosen.name} is at step {ours['step']}, but {newest.name} at step"
                f" {theirs['step']} would be overwritten: give another writer.run_name and this"
                " checkpoint's path, or resume with auto"
            )

    def _newest(self) -> Path | None:
        """The readable checkpoint with the most steps; broken ones are named and passed over."""
        newest, most = None, -1
        files = sorted(self.path.glob("checkpoint-*.pth"))
        for file in files:
            try:
                content = checkpoint.load(file)
            except CheckpointError as error:
                log.warning("Passed over: %s", error)
                continue
            if "training" in content and content["step"] > most:
                newest, most = file, content["step"]
        if files and newest is None:
            raise CheckpointError(
                f"none of the {len(files)} checkpoints in {self.path} can be read: mend what the"
                " log says of them, or move the run aside with trainer.override=true"
            )
        return newest


def _locked(path: Path) -> FileLock:
    """The lock of the run in ``path``, held by this process.

    Raises:
        ConfigError: another process holds it.
    """
    return lock(
        path / ".lock",
        f"another process trains in {path}: wait until it ends, or choose another writer.run_name",
    )


def _holds_a_run(path: Path) -> bool:
    """Whether anything was trained there; the log of a start that failed is no run."""
    metrics = path / METRICS
    return any(path.glob("*.pth")) or (metrics.exists() and metrics.stat().st_size > 0)
