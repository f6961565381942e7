"""A run that begins with the weights of another: what fits is kept, the rest begins anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.pipeline import Pipeline

_OUTPUT = "network.output"


def start_from(
    pipeline: Pipeline,
    recipe: Mapping[str, Mapping[str, Any]],
    content: Mapping[str, Any],
    path: Path,
) -> list[str]:
    """Take from the checkpoint ``path`` what fits into ``pipeline``.

    Each layer is taken as a whole or begins anew. Of the last layer each character is taken that
    both alphabets have, wherever it stands there.

    Args:
        recipe: of the new network.
        content: of the checkpoint.

    Returns:
        What was taken and what was not, a sentence each.

    Raises:
        CheckpointError: nothing fits but the last layer.
    """
    given, own = content["state_dict"], pipeline.state_dict()
    taken: dict[str, Tensor] = {}
    anew: list[str] = []
    for layer, keys in _layers(own).items():
        if layer == _OUTPUT:
            continue
        misfit = next((told for key in keys if (told := _misfit(key, own, given))), None)
        if misfit is None:
            taken |= {key: given[key] for key in keys}
        else:
            anew.append(f"{layer} begins anew: {misfit}")
    if not any(key.startswith(("network.layers.", "network.convolutions.")) for key in taken):
        raise CheckpointError(
            f"no layer of {path} fits the config: {anew[0] if anew else 'it is empty'}; set model"
            " as it was there"
        )
    last = _last_layer(own, taken, given, content["recipe"], recipe)
    pipeline.load_state_dict({**own, **taken})
    lines = [f"started from {path}: {len(taken)} of {len(own)} tensors are taken from there"]
    lost = [layer for layer in _layers(given) if layer not in _layers(own)]
    if lost:
        anew.append(f"{', '.join(lost)} of it has no place here")
    return lines + anew + last + _differences(content["recipe"], recipe)


def freeze(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Keep parameters as they are whose names match one of ``patterns``, as ``layers.0.*``.

    A normalisation that is frozen keeps its statistics, too.

    Returns:
        The names of what is frozen.

    Raises:
        ConfigError: a pattern matches nothing, or all is frozen.
    """
    names = [name for name, _ in network.named_parameters()]
    frozen: list[str] = []
    for pattern in patterns:
        found = [name for name in names if fnmatchcase(name, pattern)]
        if not found:
            layers = dict.fromkeys(".".join(name.split(".")[:2]) for name in names)
            raise ConfigError(
                f"trainer.freeze has {pattern!r}, which no parameter's name matches: they begin"
                f" with {', '.join(layers)}"
            )
        frozen += found
    if len(set(frozen)) == len(names):
        raise ConfigError(f"trainer.freeze={list(patterns)} freezes everything: leave some out")
    for name, parameter in network.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    return list(dict.fromkeys(frozen))


def _layers(weights: Mapping[str, Any]) -> dict[str, list[str]]:
    """The keys of each layer, the last component cut off."""
    layers: dict[str, list[str]] = {}
    for key in weights:
        layers.setdefault(key.rpartition(".")[0], []).append(key)
    return layers


def _misfit(key: str, own: Mapping[str, Tensor], given: Mapping[str, Any]) -> str | None:
    name = key.rpartition(".")[2]
    if not isinstance(given.get(key), Tensor):
        return f"there is no {name} there"
    theirs, ours = tuple(given[key].shape), tuple(own[key].shape)
    # statistics of features that have not been fitted yet take those of the checkpoint
    return None if theirs == ours or ours == (0,) else f"{name} is {theirs} there and {ours} here"


def _last_layer(
    own: Mapping[str, Tensor],
    taken: dict[str, Tensor],
    given: Mapping[str, Any],
    theirs: Mapping[str, Any],
    ours: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Put into ``taken`` the rows of the last layer whose characters are known there."""
    keys = [f"{_OUTPUT}.weight", f"{_OUTPUT}.bias"]
    shapes = [tuple(getattr(given.get(key), "shape", ())) for key in keys]
    if any(
        not each or each[1:] != own[key].shape[1:] for each, key in zip(shapes, keys, strict=True)
    ):
        return [f"{_OUTPUT} begins anew: it has another width"]
    alphabet = theirs.get("text_encoder", {}).get("alphabet")
    if not isinstance(alphabet, str) or any(len(given[key]) != len(alphabet) + 1 for key in keys):
        return [f"{_OUTPUT} begins anew: its alphabet there has another number of characters"]
    before = "\0" + alphabet  # the blank is token 0, there and here
    now = "\0" + ours["text_encoder"]["alphabet"]
    rows = [place for place, character in enumerate(now) if character in before]
    places = torch.tensor([before.index(now[row]) for row in rows])
    for key in keys:
        value = own[key].clone()
        value[rows] = given[key][places].to(value)
        taken[key] = value
    new = [character for character in now if character not in before]
    gone = [character for character in before if character not in now]
    told = [f"characters that begin anew: {' '.join(map(repr, new))}"] if new else []
    return told + ([f"characters that are gone: {' '.join(map(repr, gone))}"] if gone else [])


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What of the features is another than the weights were trained with."""
    told = []
    for part in ("features", "normalization"):
        before, now = theirs.get(part, {}), ours[part]
        for key in dict.fromkeys((*before, *now)):
            if before.get(key) != now.get(key):
                told.append(
                    f"transforms.{part}: {key} was {before.get(key)} there and is {now.get(key)}"
                    " here, which the weights have to get used to"
                )
    return told
