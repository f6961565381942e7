"""What ``--help`` prints: the program first, then its configs and groups."""

from __future__ import annotations

import textwrap
from pathlib import Path

import yaml

from deepspeech2.paths import CONFIGS

_BASE = "settings"  # what all configs begin with
_PROGRAM = "DeepSpeech2: train, run and score speech recognisers."
_COMMANDS = """\
The commands to begin with:
  python train.py -cn=demo                         train on a built-in corpus, in minutes
  python inference.py -cn=inference_demo           recognise and score its test part
  python inference.py -cn=transcribe audio=PATH    transcribe a file or folder
"""
_MORE = """\
GROUP.KEY=VALUE sets a key; --cfg job prints all keys of a config and --hydra-help the other
options. Documentation: docs/index.md, and docs/configuration.md for the keys.
"""


def program_help(about: str, program: str, config_name: str) -> str:
    """Return the help of a program that composes a config.

    Args:
        about: a line on what the program does.
        program: what is typed to start it.
        config_name: its default config; those that have a base in common with it are listed.
    """
    configs = {
        path.stem: _purpose(path)
        for path in sorted(CONFIGS.glob("*.yaml"))
        if path.stem != _BASE and _bases(path.stem)[-1] == _bases(config_name)[-1]
    }
    groups = {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
        for folder in sorted(CONFIGS.iterdir())
        if folder.is_dir()
    }
    lines = [
        _PROGRAM,
        about,
        "",
        f"usage: {program} [-cn=CONFIG] [GROUP=NAME ...] [GROUP.KEY=VALUE ...]",
        "",
        *_COMMANDS.splitlines(),
        "",
        f"Configs (without -cn: {config_name}):",
        *(f"  {name:27}{purpose}" for name, purpose in configs.items()),
        "",
        "Groups (GROUP=NAME):",
        *(_wrapped(name, ", ".join(choices)) for name, choices in groups.items()),
        "",
        *_MORE.splitlines(),
    ]
    return "\n".join(lines)


def _wrapped(name: str, text: str) -> str:
    return textwrap.fill(f"{name}: {text}", 100, initial_indent="  ", subsequent_indent="    ")


def _purpose(path: Path) -> str:
    """The first clause of a config's first comment."""
    comment = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("#").strip()
    return comment.partition(":")[0].partition(". ")[0].partition(";")[0].rstrip(".")


def _bases(name: str) -> list[str]:
    """A config's name, and those of the configs that it is made of, the outermost last."""
    content = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    own = [each for each in content.get("defaults", []) if isinstance(each, str)]
    base = own[0] if own else _BASE
    return [name, *(_bases(base) if base not in (_BASE, "_self_") else [])]
