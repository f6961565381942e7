"""From config to objects: the only room that knows Hydra and OmegaConf."""

from src.build.command_line import run
from src.build.inference import infer
from src.build.training import train

__all__ = ["infer", "run", "train"]
