"""Runs a command: composing the config, and speaking of errors."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deepspeech2 import plugins
from deepspeech2.config import sweep
from deepspeech2.config.components import (
    COMPONENTS,
    HYDRA_1_3,
    MAY_BE_NULL,
    check_keys,
    group,
    plain,
    settings_of,
    unused,
)
from deepspeech2.config.help import program_help
from deepspeech2.config.quoting import quoted
from deepspeech2.errors import ConfigError, SpeechError, run_command, sentence
from deepspeech2.paths import CONFIGS, install
from deepspeech2.settings import GROUPS, advice

DETAIL = "HYDRA_FULL_ERROR"
VERSION: dict[str, Any] = {"version_base": None} if HYDRA_1_3 else {}
"""Asks Hydra for its own version's defaults; 1.4 has no others, and warns where it is asked."""


def run(task: str, config_name: str, *, check: bool = True, about: str | None = None) -> None:
    """Compose the config that the command line asks for, run ``task``, exit with its status.

    What a user can mend ends as one sentence and exit status 2; HYDRA_FULL_ERROR=1 shows the
    traceback instead.

    Args:
        task: ``MODULE:FUNCTION`` of the config. The module, and torch with it, is imported when
            the config is composed and its settings are checked: a wrong word is reported at once.
        config_name: the config that ``-cn`` replaces.
        check: whether to refuse wrong settings here.
        about: what ``--help`` begins with; None for the docstring of the program.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        purpose = about or sys.modules["__main__"].__doc__ or ""
        sys.exit(run_command(lambda: print(program_help(purpose, _typed(), config_name))))
    plugins.find_own_modules()
    before = os.environ.get(DETAIL)
    status = 0
    mendable = (HydraException, OmegaConfBaseException)
    absent = [key for word in sys.argv[1:] if (key := _taken_away(word))]
    words = [f"~{key}" if (key := _taken_away(word)) else quoted(word) for word in sys.argv[1:]]
    sys.argv[1:] = with_choices(words)

    def work(config: DictConfig) -> int:
        if check:
            check_settings(config)
        plugins.load(own_modules(config))
        module, _, name = task.partition(":")
        return int(getattr(importlib.import_module(module), name)(config))

    def call(config: DictConfig) -> float | None:
        nonlocal status
        for key in absent:  # with what a config sets of it after the group is chosen
            OmegaConf.update(config, key, None, force_add=True)
        if sweep.in_sweep():
            return sweep.run_job(config, work, explain)
        try:
            status = max(status, work(config))
        except (SpeechError, OSError, *mendable) as error:
            raise sweep.Ended(error) from error
        return None

    def compose() -> int:
        try:
            main(call)()
        except sweep.Ended as end:
            raise end.error from end.error.__cause__
        finally:
            failed = sweep.finish()
        return failed

    # Hydra would print a traceback of its own; with this it raises, and the words are ours.
    os.environ[DETAIL] = "1"
    _put_help_check_aside()
    sys.argv[1:] = with_writers(with_choices(sys.argv[1:]))
    main = hydra.main(**VERSION, config_path=str(CONFIGS), config_name=config_name)
    try:
        failed = run_command(
            compose,
            mendable=mendable,
            explain=explain,
            detail=before == "1",
            prints_result=False,
        )
    finally:  # not for the programs that are started from here
        del os.environ[DETAIL]
        if before is not None:
            os.environ[DETAIL] = before
    sys.exit(failed or status)


def check_settings(config: DictConfig) -> None:
    """Raise ConfigError for what is wrong in a config as far as nothing need be imported for it."""
    for name in unused(config):
        inner = config[name] if OmegaConf.is_dict(config[name]) else ()
        keys = (name, *(f"{name}.{each}" for each in inner))
        remedy = next(filter(None, map(advice, keys)), ", and nothing refers to it")
        raise ConfigError(f"the config's key {name!r} is no group{remedy}")
    for key in COMPONENTS:
        if key in config and not (key in MAY_BE_NULL and config[key] is None):
            check_keys(group(config, key), key, imported=False)
    for key, cls in GROUPS.items():
        if key in config:
            settings_of(config, cls)


def own_modules(config: DictConfig) -> list[str]:
    """The modules under ``plugins``: a list of names, or one.

    Raises:
        ConfigError: it is something else.
    """
    named = plain(config.get("plugins")) or []
    names = [named] if isinstance(named, str) else named
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"plugins must be a list of modules, as [my_parts], but is {named!r}")
    return names


def with_choices(words: Sequence[str]) -> list[str]:
    """``words``, and behind each experiment the groups that it chooses.

    Hydra would let the chosen config's own choices win over those of the experiment.
    """
    taken = {word.partition("=")[0] for word in words}
    found: list[str] = []
    for word in words:
        found.append(word)
        key, _, names = word.partition("=")
        for name in re.findall(r"\w+", names) if key.lstrip("+") == "experiment" else ():
            path = CONFIGS / f"experiment/{name}.yaml"
            node: Any = OmegaConf.load(path) if path.is_file() else {}
            for entry in node.get("defaults", []):
                for choosing, choice in entry.items() if OmegaConf.is_dict(entry) else ():
                    chosen = choosing.removeprefix("override /")
                    found += [f"{chosen}={choice}"] if chosen not in taken else []
                    taken.add(chosen)
    return found


def with_writers(words: Sequence[str]) -> list[str]:
    """``words``, with ``writer=[csv,tensorboard]`` as Hydra composes both beside each other.

    Hydra would put the keys of one over those of the other.
    """
    found: list[str] = []
    for word in words:
        several = re.fullmatch(r"writer=\[([\w, ]+)\]", word)
        names = re.findall(r"\w+", several[1]) if several else []
        found += ["writer=multiple" if names else word]
        found += [f"+writer@writer.writers.{name}={name}" for name in names]
    return found


def _typed() -> str:
    """What is typed to start this program."""
    return f"python {sys.argv[0]}" if sys.argv[0].endswith(".py") else sys.argv[0]


def _taken_away(word: str) -> str | None:
    """The config group that ``GROUP=null`` or ``~GROUP`` takes away."""
    key = word.removeprefix("~") if word.startswith("~") else word.removesuffix("=null")
    return key if key != word and key.isidentifier() and (CONFIGS / key).is_dir() else None


def _put_help_check_aside() -> None:
    """Let Hydra 1.3 build its parser on Python 3.14, which checks each help text at once.

    One of Hydra's is an object that makes its text when it is printed. The stable Hydra with this
    is chosen over the candidates of 1.4, which do without it.
    """
    container: Any = argparse._ActionsContainer
    main: Any = importlib.import_module("hydra.main")
    build = main.get_args_parser

    def unchecked() -> argparse.ArgumentParser:
        check = container._check_help
        container._check_help = lambda *_: None
        try:
            parser: argparse.ArgumentParser = build()
        finally:
            container._check_help = check
        return parser

    if hasattr(container, "_check_help"):
        main.get_args_parser = unchecked


def explain(error: Exception) -> str:
    """One sentence about an error of ours, the system's, Hydra's or OmegaConf's."""
    # Hydra's missing configs are errors of the system, too
    if isinstance(error, SpeechError | OSError) and not isinstance(error, HydraException):
        return sentence(error)
    text = str(error.__cause__ or error)
    missing = re.search(r"Key '([^']+)' is not in struct", text)
    if missing:
        full_key = re.search(r"full_key: (\S+)", text)
        key = full_key.group(1) if full_key else missing.group(1)
        remedy = advice(key) or f"{_near(key)}: see docs/configuration.md for all keys"
        return f"the config has no key {key!r}{remedy}"
    unset = re.search(r"Missing mandatory value: (\S+)", text)
    if unset:
        return f"{unset.group(1)} has no value: give one as {unset.group(1)}=VALUE"
    # Hydra puts the sentence and what there is first, search paths and hints after it
    said = re.split(r"Config search path|Set the environment variable|See https?:", str(error))[0]
    said = re.sub(r".*(?=Error parsing override)", "", said, flags=re.DOTALL)  # 1.4: all words
    if "'hydra/launcher/joblib'" in said:
        return f"hydra/launcher=joblib needs a plugin: {install('sweep')}"
    head, *choices = re.split(r":\n(?=\t)", said, maxsplit=1)
    listed = f": {', '.join(choices[0].split())}" if choices else ""
    missing = re.search(r"primary config '(\w+)'", head)
    if missing and (remedy := advice(missing.group(1))):
        return f"there is no config {missing.group(1)!r}{remedy}"
    return " ".join(head.split()) + listed


def _near(key: str) -> str:
    """``, did you mean …`` for a misspelt key among the keys that any config has."""
    known = {
        match.group(1)
        for path in CONFIGS.rglob("*.yaml")
        for match in re.finditer(r"^\s*([A-Za-z_]\w*):", path.read_text("utf-8"), re.MULTILINE)
    }
    *place, name = key.split(".")
    if name in known:  # spelt rightly, but not a key here
        return ""
    found = difflib.get_close_matches(name, sorted(known), n=1)
    return f", did you mean {'.'.join((*place, found[0]))!r}" if found else ""
