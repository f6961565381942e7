"""Where Hydra looks for plugins: nothing is imported here but what Hydra has imported already."""

from deepspeech2.config.study import OptunaSweeper

__all__ = ["OptunaSweeper"]
