"""What a user may say about recognition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from src.errors import ConfigError
from src.inference.long import MAX_SEGMENT
from src.inference.transcripts import WHOLE
from src.transcripts import FORMATS
from src.types import is_number

_SHORTEST = 2.0


@dataclass(frozen=True, slots=True)
class InferencerSettings:
    """The config group ``inferencer``.

    Attributes:
        from_pretrained: the checkpoint.
        save_path: predictions go to ``<save_path>/<part>/``; a relative folder counts from
            ``data/saved``.
        device: auto, cpu, cuda or cuda:N.
        seed: of everything that is random; recognition is deterministic without it.
        threads: CPU threads; None leaves torch's choice.
        override: move earlier predictions of the same place aside.
        overwrite: recognise again what is there already, and replace it.
        formats: what is written besides JSON.
        output: the folder for these; None: that of the predictions.
        max_segment: seconds; longer recordings are heard in pieces of at most that. None: never.
        reject_below: predictions whose confidence is below it, from 0 to 1, are marked as
            rejected; None marks none.
    """

    from_pretrained: str
    save_path: str
    device: str = "auto"
    seed: int = 1
    threads: int | None = None
    override: bool = False
    overwrite: bool = False
    formats: Sequence[str] = ()
    output: str | None = None
    max_segment: float | None = MAX_SEGMENT
    reject_below: float | None = None

    def __post_init__(self) -> None:
        for name in ("from_pretrained", "save_path", "device"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ConfigError(
                    f"inferencer.{name} must be a text, but is {getattr(self, name)!r}"
                )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ConfigError(f"inferencer.seed must be an integer, but is {self.seed!r}")
        for name in ("override", "overwrite"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(
                    f"inferencer.{name} must be true or false, but is {getattr(self, name)!r}"
                )
        threads = self.threads
        if threads is not None and (type(threads) is not int or threads < 1):
            raise ConfigError(f"inferencer.threads must be null or at least 1, but is {threads!r}")
        if self.max_segment is not None and not self.max_segment >= _SHORTEST:
            raise ConfigError(
                f"inferencer.max_segment must be null or at least {_SHORTEST:g} s, but is"
                f" {self.max_segment}"
            )
        known = list(dict.fromkeys(("json", *WHOLE, *FORMATS)))
        if isinstance(self.formats, str) or not set(self.formats) <= set(known):
            raise ConfigError(
                f"inferencer.formats must be a list of {', '.join(known)}, but is {self.formats!r}"
            )
        limit = self.reject_below
        if limit is not None and not (is_number(limit) and 0 <= limit <= 1):
            raise ConfigError(
                f"inferencer.reject_below must be null or from 0 to 1, but is {limit!r}"
            )
