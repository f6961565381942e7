"""Which decoder made transcripts, as far as the command that made them tells."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deepspeech2.checkpoint import COMPONENTS
from deepspeech2.errors import ConfigError
from deepspeech2.paths import ROOT, resolve
from results.rows import LanguageModel

MAIN = ROOT / "configs"
CONFIGS = MAIN / "decoder"
OWN = "checkpoint"  # the config of the decoder that the checkpoint names
_TARGET = "_target_"


def options(own: Mapping[str, Any], command: str, name: str) -> dict[str, Any]:
    """The decoder's options: its config's or the checkpoint's, changed by ``command``.

    What is null, and how many threads there were, is left out.

    Args:
        own: the decoder in the checkpoint's recipe.
        command: how ``inference.py`` was called.
        name: of the decoder that the transcripts name.

    Raises:
        ConfigError: command and checkpoint give another decoder than the transcripts name, or
            the command names a config that does not exist.
    """
    chosen, changes = None, {}
    main = "inference"
    words = _words(command)
    for number, word in enumerate(words):
        key, _, value = word.lstrip("+").partition("=")
        if key in ("-cn", "--config-name"):
            main = value or (words[number + 1] if number + 1 < len(words) else "")
        elif key == "decoder":
            chosen = value
        elif key.startswith("decoder."):
            changes[key.removeprefix("decoder.")] = yaml.safe_load(value)
    chosen = chosen or _named_by(main) or OWN
    base = dict(own) if chosen == OWN else _config(chosen)
    kind = str(base.pop("name", None) or base.pop(_TARGET, "")).rpartition(".")[2]
    made = getattr(COMPONENTS.get(kind), "name", None)
    if made != name:
        raise ConfigError(
            f"the transcripts were made by {name}, but the evaluation command gives {made}: give"
            " the command that made them, decoder=... included"
        )
    if chosen == OWN:  # null leaves the checkpoint's option as it is
        changes = {key: value for key, value in changes.items() if value is not None}
        if "nbest" in base and "beam_size" in changes:
            changes.setdefault("nbest", min(base["nbest"], changes["beam_size"]))
    found = {key: value for key, value in {**base, **changes}.items() if value is not None}
    found.pop("threads", None)
    return found


def language_model(options: Mapping[str, Any], perplexity: float | None) -> LanguageModel | None:
    """The language model that ``options`` name; None if they name none.

    Raises:
        ConfigError: a perplexity is given, but there is no model.
    """
    path = options.get("lm")
    if path is None:
        if perplexity is not None:
            raise ConfigError(
                f"a perplexity of {perplexity:g} is given, but the decoder has no language model"
            )
        return None
    file = resolve(str(path))
    return LanguageModel(
        Path(str(path)).name, file.stat().st_size if file.is_file() else None, perplexity
    )


def _named_by(main: str) -> str | None:
    """The decoder's config that the defaults of a main config name."""
    file = MAIN / f"{main}.yaml"
    if not file.is_file():
        raise ConfigError(f"-cn={main} does not exist: {MAIN.relative_to(ROOT)} has no such")
    found = None
    for entry in yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", []):
        if isinstance(entry, str):
            if entry != "_self_":
                found = _named_by(entry) or found
        else:
            [(group, value)] = entry.items()
            if group.removeprefix("override ").strip() == "decoder":
                found = value
    return found


def _config(name: str) -> dict[str, Any]:
    file = CONFIGS / f"{name}.yaml"
    if not file.is_file():
        raise ConfigError(f"decoder={name} does not exist: {CONFIGS.relative_to(ROOT)} has no such")
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"{command!r} is no command ({error}): mend its quotes") from error
