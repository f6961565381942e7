"""What git tracks as a test, pytest runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLLECT = """
import sys
import pytest

class Unimported(pytest.Module):
    def collect(self):
        print("module", self.path)
        return []

class Plugin:
    def pytest_pycollect_makemodule(self, module_path, parent):
        return Unimported.from_parent(parent, path=module_path)

OPTIONS = ["--collect-only", "--noconftest", "-s", "-p", "no:xdist"]
sys.exit(pytest.main(OPTIONS, plugins=[Plugin()]))
"""


def test_every_tracked_test_is_collected() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "tests"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    files = {ROOT / name for name in tracked if name.endswith(".py") and (ROOT / name).exists()}
    tests = {path for path in files if path.name.startswith("test_")}
    output = subprocess.run(
        [sys.executable, "-c", COLLECT], cwd=ROOT, capture_output=True, text=True
    ).stdout
    collected = {Path(path) for path in re.findall(r"^module (.+)$", output, re.MULTILINE)}
    assert len(tests) > 100
    assert tests == collected
    elsewhere = [
        path
        for path in files - tests
        if re.search(r"^(async )?def test_", path.read_text("utf-8"), re.M)
    ]
    assert not elsewhere, f"tests in files that pytest does not look into: {elsewhere}"
