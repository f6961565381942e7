"""Start a run from the weights of another: what fits is taken, the rest begins anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2.checkpoint.recipe import create
from deepspeech2.errors import CheckpointError, ConfigError, SpeechError
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import Tokenizer

_OUTPUT = "network.output"
_PHONES = "network.phone_output"
_MOST_NAMED = 50  # tokens in a message


def start_from(
    pipeline: Pipeline,
    recipe: Mapping[str, Mapping[str, Any]],
    content: Mapping[str, Any],
    path: Path,
) -> list[str]:
    """Load from the checkpoint ``path`` what fits into ``pipeline``.

    Each layer is taken as a whole or begins anew. Of the last layer, the rows of the tokens that
    both text encoders have are taken.

    Args:
        recipe: of the new network.
        content: of the checkpoint.

    Returns:
        What was taken and what was not, a sentence each.

    Raises:
        CheckpointError: nothing fits but the last layer.
    """
    # whole layers, but for the last
    theirs, own = content["state_dict"], pipeline.state_dict()
    phones = [each.get("model", {}).get("phones") for each in (content["recipe"], recipe)]
    taken: dict[str, Tensor] = {}
    anew: list[str] = []
    for layer, keys in _layers(own).items():
        if layer == _OUTPUT:
            continue
        misfit = next((each for key in keys if (each := _misfit(key, own, theirs))), None)
        if layer == _PHONES and misfit is None and phones[0] != phones[1]:
            misfit = "its phones there are others"
        if misfit is None:
            taken |= {key: theirs[key] for key in keys}
        else:
            anew.append(f"{layer} begins anew: {misfit}")
    learnt = [key for key in taken if key.startswith("network.") and ".norm" not in key]
    if not learnt:
        raise CheckpointError(
            f"no layer of {path} fits the config: {anew[0] if anew else 'it is empty'}; set model"
            " as it was there"
        )

    # the last layer by tokens, and a report of what is lost
    last = _last_layer(own, taken, theirs, _tokens(content["recipe"], path), _tokens(recipe, path))
    pipeline.load_state_dict({**own, **taken})
    lines = [f"started from {path}: {len(taken)} of {len(own)} tensors are taken from there"]
    lost = [layer for layer in _layers(theirs) if layer not in _layers(own)]
    if lost:
        anew.append(f"{', '.join(lost)} of it has no place here")
    return lines + anew + last + _differences(content["recipe"], recipe)


def freeze(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Freeze the parameters whose names match one of ``patterns``, as ``layers.0.*``.

    A normalisation that is frozen keeps its statistics, too.

    Returns:
        The names of the frozen parameters.

    Raises:
        ConfigError: a pattern matches nothing, or all is frozen.
    """
    names = [name for name, _ in network.named_parameters()]
    frozen: dict[str, None] = {}
    for pattern in patterns:
        matches = [name for name in names if fnmatchcase(name, pattern)]
        if not matches:
            layers = dict.fromkeys(".".join(name.split(".")[:2]) for name in names)
            raise ConfigError(
                f"trainer.freeze has {pattern!r}, which no parameter's name matches: they begin"
                f" with {', '.join(layers)}"
            )
        frozen |= dict.fromkeys(matches)
    if len(frozen) == len(names):
        raise ConfigError(f"trainer.freeze={list(patterns)} freezes everything: leave some out")
    for name, parameter in network.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    return list(frozen)


def _layers(weights: Mapping[str, Any]) -> dict[str, list[str]]:
    """Group the keys of weights by layer, which is all but their last component."""
    layers: dict[str, list[str]] = {}
    for key in weights:
        layers.setdefault(key.rpartition(".")[0], []).append(key)
    return layers


def _misfit(key: str, own: Mapping[str, Tensor], theirs: Mapping[str, Any]) -> str | None:
    name = key.rpartition(".")[2]
    if not isinstance(theirs.get(key), Tensor):
        return f"there is no {name} there"
    there, here = tuple(theirs[key].shape), tuple(own[key].shape)
    # statistics of features that have not been fitted yet take those of the checkpoint
    return None if there == here or here == (0,) else f"{name} is {there} there and {here} here"


def _last_layer(
    own: Mapping[str, Tensor],
    taken: dict[str, Tensor],
    theirs: Mapping[str, Any],
    before: Sequence[str],
    now: Sequence[str],
) -> list[str]:
    """Add to ``taken`` the rows of the last layer whose tokens are both in ``before`` and ``now``.

    The blank is token 0, there and here.
    """
    keys = [f"{_OUTPUT}.weight", f"{_OUTPUT}.bias"]
    shapes = {key: tuple(getattr(theirs.get(key), "shape", ())) for key in keys}
    if any(not each or each[1:] != own[key].shape[1:] for key, each in shapes.items()):
        return [f"{_OUTPUT} begins anew: it has another width"]
    if any(len(theirs[key]) != len(before) for key in keys):
        return [f"{_OUTPUT} begins anew: its text encoder there has another number of tokens"]
    table = {token: place for place, token in enumerate(before)}
    rows = [row for row, token in enumerate(now) if token in table]
    places = torch.tensor([table[now[row]] for row in rows])
    for key in keys:
        taken[key] = own[key].clone()
        taken[key][rows] = theirs[key][places].to(own[key])
    lost = {
        "begin anew": [token for token in now if token not in table],
        "are gone": sorted(table.keys() - set(now), key=before.index),
    }
    kind = "characters" if max(map(len, (*before, *now))) == 1 else "tokens"
    return [f"{kind} that {what}: {_listed(each)}" for what, each in lost.items() if each]


def _tokens(recipe: Mapping[str, Any], path: Path) -> Sequence[str]:
    """The tokens of the text encoder of a recipe; none if it cannot be made."""
    try:
        encoder: Tokenizer = create(recipe, "text_encoder", path)
    except SpeechError:
        return ()
    return encoder.tokens


def _listed(tokens: Sequence[str]) -> str:
    named = " ".join(map(repr, tokens[:_MOST_NAMED]))
    return named + (f" and {len(tokens) - _MOST_NAMED} more" * (len(tokens) > _MOST_NAMED))


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return in which options the features differ from those that the weights were trained on."""
    return [
        f"transforms.{part}: {key} was {theirs.get(part, {}).get(key)} there and is"
        f" {ours[part].get(key)} here, which the weights have to get used to"
        for part in ("features", "normalization")
        for key in dict.fromkeys((*theirs.get(part, {}), *ours[part]))
        if theirs.get(part, {}).get(key) != ours[part].get(key)
    ]
