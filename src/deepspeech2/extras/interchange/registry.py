"""Models that are known by name: ``models/registry.yaml``."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from deepspeech2.errors import ManifestError

REGISTRY = "models/registry.yaml"


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be downloaded.

    Attributes:
        name: to ask for it.
        about: what it is.
        licence: of the weights.
        output: where it goes, below the repository.
        sources: addresses in the order in which they are asked.
        sha256, size: of the file, in hexadecimal digits and bytes; None if unknown.
    """

    name: str
    about: str
    licence: str
    output: str
    sources: list[str]
    sha256: str | None = None
    size: int | None = None

    def __str__(self) -> str:
        size = "" if self.size is None else f", {self.size / 1e6:,.1f} MB"
        return f"{self.name}: {self.about} ({self.licence}{size})"


def read(path: Path) -> list[Model]:
    """Read all models, in the file's order.

    Raises:
        ManifestError: the file is missing or malformed; names the entry.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ManifestError(f"{path} cannot be read ({reason}): mend or restore it") from error
    listed = content.get("models") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ManifestError(f"{path} must have a list 'models', but has none")
    if not listed:
        raise ManifestError(f"{path} must name at least one model under 'models'")
    return [_entry(entry, f"{path}, model {number}") for number, entry in enumerate(listed, 1)]


def find(models: list[Model], name: str) -> Model:
    """Return the model of this name.

    Raises:
        ManifestError: there is none.
    """
    for model in models:
        if model.name == name:
            return model
    raise ManifestError(
        f"no model is named {name!r}: choose from {', '.join(model.name for model in models)}"
    )


def _entry(entry: Any, place: str) -> Model:
    known = {each.name for each in fields(Model)}
    needed = known - {"sha256", "size"}
    if not isinstance(entry, dict) or not needed <= set(entry) <= known:
        raise ManifestError(f"{place} must have {', '.join(sorted(needed))}, but is {entry!r}")
    model = Model(**entry)
    checks = (
        ("sources", isinstance(model.sources, list) and all(map(_address, model.sources))),
        ("sha256", model.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", str(model.sha256))),
        ("size", model.size is None or (isinstance(model.size, int) and model.size > 0)),
        ("output", not Path(str(model.output)).is_absolute() and ".." not in str(model.output)),
    )
    for name, right in checks:
        if not right:
            raise ManifestError(f"{place}: {name} cannot be {getattr(model, name)!r}")
    return model


def _address(source: Any) -> bool:
    return isinstance(source, str) and source.startswith(("https://", "http://", "hf://"))
