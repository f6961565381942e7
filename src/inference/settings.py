"""What a user may say about recognition."""

from __future__ import annotations

from dataclasses import dataclass

from src.errors import ConfigError


@dataclass(frozen=True, slots=True)
class InferencerSettings:
    """The config group ``inferencer``.

    Attributes:
        from_pretrained: the checkpoint.
        save_path: predictions go to ``data/saved/<save_path>/<part>/``.
        device: auto, cpu, cuda or cuda:N.
        seed: of everything that is random; recognition is deterministic without it.
        threads: CPU threads; None leaves torch's choice.
        override: move earlier predictions of the same place aside instead of refusing.
    """

    from_pretrained: str
    save_path: str
    device: str = "auto"
    seed: int = 1
    threads: int | None = None
    override: bool = False

    def __post_init__(self) -> None:
        for name in ("from_pretrained", "save_path", "device"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ConfigError(
                    f"inferencer.{name} must be a text, but is {getattr(self, name)!r}"
                )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ConfigError(f"inferencer.seed must be an integer, but is {self.seed!r}")
        if not isinstance(self.override, bool):
            raise ConfigError(
                f"inferencer.override must be true or false, but is {self.override!r}"
            )
