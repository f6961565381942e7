"""The directive ``configs``: every file of configs/ with its comments, group by group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


class Configs(SphinxDirective):
    """Sections named by group, with each file as it stands."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # files may come and go
        groups = sorted({path.parent for path in CONFIGS.rglob("*/*.yaml")})
        whole = _section("-cn=", "whole configs", sorted(CONFIGS.glob("*.yaml")))
        return [whole, *(_group(folder) for folder in groups)]


def _group(folder: Path) -> nodes.section:
    title = f"{folder.relative_to(CONFIGS).as_posix()}="
    return _section(title, "", sorted(folder.glob("*.yaml")))


def _section(title: str, more: str, paths: list[Path]) -> nodes.section:
    name = title.strip("-=").rpartition("/")[2]
    section = nodes.section(ids=[f"config-{name}"], names=[name])
    section += nodes.title("", "", nodes.literal("", title), nodes.Text(f" {more}" if more else ""))
    for path in paths:
        part = nodes.section(ids=[f"config-{name}-{path.stem}"], names=[f"{name}={path.stem}"])
        part += nodes.title("", path.stem)
        text = path.read_text(encoding="utf-8")
        part += nodes.literal_block(text, text, language="yaml")
        section += part
    return section


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("configs", Configs)
    return {"parallel_read_safe": True}
