"""Every argument of every component that a recipe may name: absent, and with absurd values."""

from __future__ import annotations

import copy
import inspect
import math
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from deepspeech2 import checkpoint
from deepspeech2.errors import SpeechError, sentence
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import TextEncoder
from deepspeech2.transforms import FrontEnd
from tests.checkpoint.hostile import recognize

ABSURD: list[Any] = [
    None, True, False, 0, -1, 1, 2, 2**31 - 1, 10**30, 0.5, -0.5, 1e308, -1e308, math.nan, math.inf,
    -math.inf, "", "x", "NaN", "\x1b[2J", "\ud800", "ab" * 99_999, b"x", [], [0], [-1], ["x"],
    [None], [[]], (1, 2), [1] * 199_999, {}, {"a": -1}, {"a": None}, {1: 2}, {"name": "x"},
]  # fmt: skip
# What differs from the defaults. A recipe that has one part of this kind has the first of others.
PARTS: dict[str, dict[str, dict[str, Any]]] = {
    "model": {
        "DeepSpeech2": {
            "n_features": 16, "n_tokens": 12, "conv_channels": [2, 3],
            "conv_kernels": [[3, 3], [5, 5]], "conv_strides": [[4, 2], [2, 1]], "rnn_layers": 2,
            "rnn_size": 6,
        },
    },
    "features": {
        "LogMelSpectrogram": {"n_mels": 16},
        "LogMagnitudeSpectrogram": {"n_fft": 30, "hop_length": 15},
        "LogSpectrogram": {"n_fft": 30, "hop_length": 15},
    },
    "normalization": {
        "UtteranceNormalization": {},
        "NoNormalization": {},
        "GlobalNormalization": {"mean": [0.5] * 16, "std": [2.0] * 16},
    },
    "text_encoder": {
        "TextEncoder": {"alphabet": "abcdefghij "},
        "SubwordEncoder": {"pieces": ["\u2581", *"abcdefghij"], "scores": [-1.0] * 11},
    },
    "decoder": {
        "GreedyDecoder": {},
        "BeamSearchDecoder": {"beam_size": 4, "nbest": 2, "hotwords": {"abc": 2.0, "a": None}},
        "LanguageModelDecoder": {
            "beam_size": 4, "hotwords": ["abc"], "prior": [0.1] * 12, "prior_weight": 0.2,
        },
    },
}  # fmt: skip
ENDLESS = {"threads"}  # of the machine, and in no recipe that is written here
Variant = tuple[str, str, str, Any]  # part, component, option, value
ABSENT = object()


def whole(name: str, changes: dict[str, Any], lm: Path) -> dict[str, Any]:
    """A component with every argument that it has."""
    known = inspect.signature(checkpoint.COMPONENTS[name]).parameters
    defaults = {
        key: each.default
        for key, each in known.items()
        if each.default is not each.empty and key not in ENDLESS
    }
    files = {key: str(lm.with_suffix(ending)) for key, ending in
             (("lm", ".arpa"), ("lexicon", ".txt")) if key in known}  # fmt: skip
    return copy.deepcopy({"name": name, **defaults, **files, **changes})


def recipe(lm: Path, **chosen: str) -> dict[str, Any]:
    found = {}
    for part, components in PARTS.items():
        name = chosen.get(part) or next(iter(components))
        found[part] = whole(name, components[name], lm)
    return found


def variants(lm: Path) -> Iterator[Variant]:
    """Of each argument; of lists also with one entry absurd."""
    for part, components in PARTS.items():
        yield part, next(iter(components)), "", ABSENT
        yield from ((part, next(iter(components)), "", value) for value in ABSURD)
        for name, changes in components.items():
            for option, own in whole(name, changes, lm).items():
                yield part, name, option, ABSENT
                for value in ABSURD:
                    yield part, name, option, value
                    if isinstance(own, list | tuple):
                        yield part, name, option, [value, *own[1:]]
                    if isinstance(own, list | tuple) and own and isinstance(own[0], list | tuple):
                        yield part, name, option, [[value, *own[0][1:]], *own[1:]]
                    if isinstance(own, dict):
                        yield part, name, option, {**own, next(iter(own)): value}
            yield part, name, "no such option", 1


def end(variant: Variant, lm: Path, weights: dict[str, dict[str, Any]]) -> str:
    part, name, option, value = variant
    changed = recipe(lm, **{part: name})
    place: Any = changed if not option else changed[part]
    if value is ABSENT:
        del place[option or part]
    else:
        place[option or part] = value
    content = {"recipe": changed, "state_dict": dict(weights[name]), "metrics": {}}
    try:
        recognize(content, Path("x.pth"))
    except SpeechError as error:
        told = sentence(error)
        return "refused" if told.isprintable() and len(told) < 2000 else f"sentence {told!r:.300}"
    except Exception:  # whatever it is, it is wrong
        return "traceback " + " | ".join(traceback.format_exc().splitlines()[-3:])
    return "computes"


def weights_of(lm: Path, part: str, name: str) -> dict[str, Any]:
    made = recipe(lm, **{part: name})
    options = {key: {k: v for k, v in each.items() if k != "name"} for key, each in made.items()}
    parts = {
        key: checkpoint.COMPONENTS[made[key]["name"]](**options[key])
        for key in ("features", "normalization", "model")
    }
    torch.manual_seed(0)
    front_end = FrontEnd(parts["features"], parts["normalization"])
    return dict(Pipeline(front_end, parts["model"]).state_dict())


@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=pytest.mark.exhaustive, id="all"), pytest.param(17, id="some")]
)
def test_each_is_refused_in_a_sentence_or_computes(step: int, tmp_path: Path) -> None:
    lm = tmp_path / "x.arpa"
    rows = "-0.7\t<s>\t-0.2\n-0.7\t</s>\n-0.7\t<unk>\n-0.7\tabc\n-0.7\ta"
    lm.write_text(f"\\data\\\nngram 1=5\n\n\\1-grams:\n{rows}\n\n\\end\\\n")
    lm.with_suffix(".txt").write_text("abc\nbad\na\n")
    names = {name: part for part, components in PARTS.items() for name in components}
    assert set(names) == set(checkpoint.COMPONENTS)
    weights = {name: weights_of(lm, part, name) for name, part in names.items()}
    assert TextEncoder(PARTS["text_encoder"]["TextEncoder"]["alphabet"]).n_tokens == 12
    ends: Counter[str] = Counter()
    wrong = []
    for variant in list(variants(lm))[::step]:
        found = end(variant, lm, weights)
        ends[found.split(" ")[0]] += 1
        if found not in ("refused", "computes"):
            wrong.append(f"{variant!r:.200}: {found}")
    print(len(ends), dict(ends))
    assert not wrong, "\n".join([f"{len(wrong)} of {ends.total()}", *wrong])
    assert ends["computes"] > ends.total() // 40  # or nothing was tried
