"""The design page shows the layers that import-linter checks."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_layers_that_are_enforced() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (layers,) = (each["layers"] for each in contracts["contracts"] if each["type"] == "layers")
    page = (ROOT / "docs/design.md").read_text("utf-8")
    blocks = [block.split("```")[0].split("\n", 1)[1] for block in page.split("```text")[1:]]
    assert "\n".join(layers) + "\n" in blocks
