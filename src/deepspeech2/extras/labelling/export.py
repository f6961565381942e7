"""Labels as manifests to train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.labelling.journal import Journal
from deepspeech2.extras.labelling.labels import Labels, State
from deepspeech2.files import write_whole
from deepspeech2.text import Tokenizer

CORRECTED, SURE = "labels.corrected.jsonl", "labels.sure.jsonl"
"""Manifests of what people corrected or accepted, and of what only the model is sure of."""

_EXPORTED: dict[str, State] = {CORRECTED: "corrected", SURE: "sure"}


def checked(text: str, text_encoder: Tokenizer) -> str:
    """Return ``text`` as it is trained on.

    Raises:
        ManifestError: it would be left out of a training: it is empty, or has characters outside
            the alphabet.
    """
    unknown = "".join(sorted(text_encoder.unknown(text)))
    if unknown:
        raise ManifestError(
            f"{unknown!r} is not in the model's alphabet: write it as it is spoken, in"
            f" {''.join(sorted(text_encoder.characters))!r}"
        )
    normal = text_encoder.normalize(text)
    if not normal:
        raise ManifestError("there is no word in the text: mark what has no speech unusable")
    return normal


def rows(labels: Labels, state: State) -> list[dict[str, Any]]:
    """The utterances in ``state`` as rows of a manifest, by recording and time."""
    found = [(change, label) for change, label in labels.current.values() if label.state == state]
    found.sort(key=lambda pair: (pair[1].audio, pair[1].start or 0.0))
    result = []
    for change, label in found:
        times = {}
        if label.start is not None and label.end is not None:
            times = {"offset": label.start, "duration": round(label.end - label.start, 6)}
        optional = {key: getattr(label, key) for key in ("written", "speaker", "confidence")}
        result.append(
            {"audio_filepath": label.audio, **times, "text": label.text}
            | {key: value for key, value in optional.items() if value is not None}
            | {"who": change.who, "when": change.when, "revision": change.revision}
        )
    return result


def export(folder: Path) -> dict[str, int]:
    """Write the manifests :data:`CORRECTED` and :data:`SURE` of a folder anew.

    Returns:
        How many rows each has.

    Raises:
        ConfigError: a file of another program has the name of one; nothing is written.
        OSError: they cannot be written.
    """
    labels = Journal(folder).read()
    for name in (CORRECTED, SURE):
        _require_own(folder / name)
    counts = {}
    for name, state in _EXPORTED.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows(labels, state)]
        write_whole(folder / name, "".join(lines))
        counts[name] = len(lines)
    return counts


def _require_own(path: Path) -> None:
    """Raise ConfigError if there is a file that no export wrote."""
    if not path.exists():
        return
    with path.open("rb") as file:
        first = file.readline()
    try:
        own = not first or "revision" in json.loads(first)
    except (ValueError, TypeError):
        own = False
    if not own:
        raise ConfigError(f"{path} is of another program and is kept: move it away")
