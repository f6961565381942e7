"""What a user may say about a training run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval

from deepspeech2.errors import ConfigError
from deepspeech2.settings.values import Count, Device, Positive, Text, settings

CacheKind = Literal["none", "memory", "disk"]

_AVERAGE = re.compile(r"(last|best) (\d+)")
_MINUTES = re.compile(r"(\d+(?:\.\d+)?) ?min(?:utes?)?")


def parse_average(text: str | None) -> tuple[str, int] | None:
    """``last 5`` as ("last", 5).

    Raises:
        ConfigError: it is neither of that kind nor None, or fewer than two are asked for.
    """
    if text is None:
        return None
    found = _AVERAGE.fullmatch(text)
    if found is None or int(found[2]) < 2:
        raise ConfigError(
            f"trainer.average must be 'last N' or 'best N' with N at least 2, or null, but is"
            f" {text!r}"
        )
    return found[1], int(found[2])


def parse_interval(value: int | str | None, key: str) -> tuple[int | None, float | None]:
    """A number of steps, or minutes as in ``10 min``, as (steps, seconds); None is never.

    Args:
        key: of the config, for messages.

    Raises:
        ConfigError: it is neither, or not positive.
    """
    if value is None:
        return None, None
    if isinstance(value, str):
        found = _MINUTES.fullmatch(value.strip())
        if found and float(found[1]) > 0:
            return None, 60 * float(found[1])
    elif value > 0:
        return value, None
    raise ConfigError(
        f"{key} must be a positive number of steps, minutes as in '10 min', or null,"
        f" but is {value!r}"
    )


def parse_monitor(text: str) -> tuple[str, int]:
    """``min NAME`` as (NAME, 1), ``max NAME`` as (NAME, -1), ``off`` as ("", 1).

    Raises:
        ConfigError: anything else.
    """
    if text == "off":
        return "", 1
    words = text.split()
    if len(words) != 2 or words[0] not in ("min", "max"):
        raise ConfigError(
            f"trainer.monitor must be 'min METRIC', 'max METRIC' or 'off', but is {text!r}"
        )
    return words[1], 1 if words[0] == "min" else -1


@settings("trainer")
class TrainerSettings:
    """The config group ``trainer``.

    Attributes:
        n_epochs: epochs in the whole run.
        epoch_len: steps of an epoch; None is a pass over the training data.
        log_step: steps between two lines of training metrics.
        save_period: epochs between two kept checkpoints.
        accumulate: batches of each process that make one step.
        save_every: between two rewritings of ``checkpoint-last.pth``, to resume from: steps, or
            minutes as in ``10 min``; None writes it at the end of each epoch and when
            interrupted.
        decode_period: epochs between two validations with the configured decoder; the greedy
            one scores every epoch, the last epoch has both.
        monitor: ``min`` or ``max`` and a metric, as in ``min val_WER_(Argmax)``, by which
            ``model_best.pth`` is chosen; ``off`` takes the last epoch.
        early_stop: epochs without a better value after which training ends; None never.
        max_grad_norm: gradients are scaled down to this norm; None leaves them.
        nonfinite_patience: steps in a row without a finite loss or gradient, each of which is
            skipped, after which the run stops; None never.
        ema: decay of an exponential moving average of the weights, which is scored beside them
            after each epoch; None keeps none.
        average: ``last N`` or ``best N`` by ``monitor``: in the end the mean of N kept
            checkpoints is scored too; None makes none.
        seed: of everything that is random.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, 32, bf16 or 16.
        threads: CPU threads; None leaves torch's choice.
        compile: let ``torch.compile`` make kernels of what the network says is worth it.
        profile: write a trace of a few steps, and log what took their time.
        resume_from: ``auto`` (the newest checkpoint of the run), or a checkpoint's path or its
            name within the run.
        from_pretrained: a checkpoint whose weights the run starts from, as far as they fit.
        freeze: patterns of the names of the network's parameters that stay as they are.
        save_dir: contains the runs.
        override: move a finished run of the same name aside instead of refusing to start.
    """

    group: ClassVar[str]

    n_epochs: Count
    epoch_len: Count | None = None
    accumulate: Count = 1
    log_step: Count = 50
    save_period: Count = 5
    save_every: int | str | None = None
    decode_period: Count = 1
    monitor: Text = "min val_WER_(Argmax)"
    early_stop: Count | None = None
    max_grad_norm: Positive | None = 10.0
    nonfinite_patience: Count | None = 20
    ema: Annotated[float, Interval(gt=0, lt=1)] | None = None
    average: Text | None = None
    seed: int = 1
    device: Device = "auto"
    precision: Text = "auto"
    threads: Count | None = None
    compile: bool = False
    profile: bool = False
    resume_from: Text | None = None
    from_pretrained: Text | None = None
    freeze: Sequence[Text] | None = None
    save_dir: Text = "saved"
    override: bool = False

    def __post_init__(self) -> None:
        parse_monitor(self.monitor)
        parse_interval(self.save_every, "trainer.save_every")
        average = parse_average(self.average)
        if average and average[0] == "best" and self.monitor == "off":
            raise ConfigError(
                f"trainer.average={self.average} is chosen by trainer.monitor, which is off: set"
                f" trainer.monitor, or trainer.average to 'last {average[1]}'"
            )
        if self.resume_from and self.resume_from != "auto" and self.from_pretrained:
            raise ConfigError(
                f"trainer.resume_from={self.resume_from} and trainer.from_pretrained="
                f"{self.from_pretrained} exclude each other: set one of them to null"
            )


@settings("dataloader")
class DataloaderSettings:
    """The config group ``dataloader``.

    Attributes:
        max_batch_duration: seconds of padded audio in a batch.
        max_batch_size: utterances in a batch; None for no limit.
        num_workers: processes that read audio; None: one for each core, at most 8.
        cache: what is kept of decoded audio: "none", "memory" (small corpora, num_workers 0) or
            "disk"; true is "memory" and false is "none".
        cache_dir: where the cache on the disk is; a relative path counts from the
            repository's root.
        pin_memory: page-locked batches for a GPU.
        sorted_epochs: how many epochs of training go from the shortest to the longest utterances.
    """

    group: ClassVar[str]

    max_batch_duration: Positive
    max_batch_size: Count | None = None
    num_workers: Annotated[int, Interval(ge=0)] | None = None
    cache: CacheKind | bool = "none"
    cache_dir: Text = "data/cache"
    pin_memory: bool = True
    sorted_epochs: Annotated[int, Interval(ge=0)] = 0

    @property
    def cache_kind(self) -> CacheKind:
        """``cache`` by its name."""
        if isinstance(self.cache, bool):
            return "memory" if self.cache else "none"
        return self.cache


@settings("preview")
class PreviewSettings:
    """The keys below ``preview``, which no config need have: ``+preview.draws=5``.

    Attributes:
        save_path: the folder; None for ``data/preview/<config>``. A relative path counts from the
            repository's root.
        utterances: how many are shown and played.
        draws: of each augmentation, for each of them.
    """

    group: ClassVar[str]

    save_path: Text | None = None
    utterances: Count = 3
    draws: Count = 2
