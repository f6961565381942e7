"""What a user may say about a preview."""

from __future__ import annotations

from dataclasses import dataclass

from src.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PreviewSettings:
    """The keys below ``preview``, which no config need have: ``+preview.draws=5``.

    Attributes:
        save_path: the folder; None for ``data/preview/<config>``. A relative path counts from the
            repository's root.
        utterances: how many are shown and played.
        draws: of each augmentation, for each of them.

    Raises:
        ConfigError: a value is out of range.
    """

    save_path: str | None = None
    utterances: int = 3
    draws: int = 2

    def __post_init__(self) -> None:
        if self.save_path is not None and (
            not isinstance(self.save_path, str) or not self.save_path
        ):
            raise ConfigError(f"preview.save_path must be a path, but is {self.save_path!r}")
        for name in ("utterances", "draws"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"preview.{name} must be at least 1, but is {value!r}")
