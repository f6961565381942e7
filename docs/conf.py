"""The site: make docs. Its sources are the pages of the whole repository, so links hold in both."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "docs/_ext")]

project = "DeepSpeech2"
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "docs/**",
    "models/README.md",
    "benchmarks/*.md",
    "results/*.md",
]
exclude_patterns = [
    "docs/_build",
    "docs/_ext",
    "docs/_extra",
    "docs/reference/code/modules.rst",
    ".*",
    "configs",
    "data",
    "outputs",
    "saved",
    "scripts",
    "src",
    "tests",
    "wandb",
]
extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "config_reference",
    "contents",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 3

apidoc_modules = [
    {
        "path": "../src/deepspeech2",
        "destination": "docs/reference/code",
        "separate_modules": False,  # a page for each package
        "module_first": True,
        "automodule_options": {"members", "show-inheritance"},
    }
]
autodoc_default_options = {"ignore-module-all": True}  # everything stands where it is defined
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True
# An attribute that several classes have, as sample_rate, is no link.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = "DeepSpeech2"
html_extra_path = ["_extra"]  # index.html, which leads to docs/index.html
