"""The site builds without a warning, and links hold on a forge too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.commands import ROOT, documents

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What a forge makes of the headings of a page."""
    titles = _HEADING.findall(page.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.strip().replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.is_file(), f"{link} of {page.name} does not exist"
        assert not anchor or anchor in anchors(target), f"{link} of {page.name} has no such heading"


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    words = ["-W", "--keep-going", "-q", "-b", "html", "-c", "docs", "-d", tmp_path / "doctrees"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words, ".", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in tmp_path.rglob("*.html")}
    for page in documents():
        assert page.relative_to(ROOT).with_suffix(".html").as_posix() in pages
    configs = (tmp_path / "site/docs/reference/configs.html").read_text(encoding="utf-8")
    for path in (ROOT / "configs").rglob("*.yaml"):
        group = path.parent.name if path.parent != ROOT / "configs" else "cn"
        assert f'id="config-{group}-{path.stem}"' in configs
    assert "save_every: 10 min" in re.sub(r"<[^>]+>", "", configs)
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in (tmp_path / "site/docs/reference/code").glob("*.html")
    )
    # what src/hydra_plugins points Hydra to is defined, and documented, in the package
    for path in (ROOT / "src/deepspeech2").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        assert f'id="module-{module.removesuffix(".__init__")}"' in code
