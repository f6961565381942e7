"""What a trained model heard of 240 recordings, scored as others score it, and as a page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kaldialign
import pytest
from selenium.webdriver.common.by import By

from deepspeech2.metrics.analysis import Row, analyse
from deepspeech2.metrics.predictions import read_objects
from deepspeech2.text.normalization import Normalizer
from tests.browser import Browser, chromium, complaints, needs_browser
from tests.system.conftest import Run
from tests.toy import ROOT

SCLITE = next((found for name in ("sclite", "sctk") if (found := shutil.which(name))), None)
SUBSTITUTION, OTHER = 4, 3  # sclite's weights
_SCORES = re.compile(r"id: \((\S+)\)\nScores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)\n")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def heard(
    command: Run, speech_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    name = f"test-{tmp_path_factory.getbasetemp().name}-scoring"
    result = command(
        "inference.py",
        "-cn=inference",
        f"data_dir={speech_data / 'LibriSpeech'}",
        "datasets.test.part=test-clean-35m",
        "inferencer.from_pretrained=models/english.pth",
        f"inferencer.save_path={name}",
        "inferencer.device=cpu",
        "inferencer.threads=1",
        "decoder=greedy",
        "dataloader.num_workers=0",
        timeout=900,
    )
    try:
        assert result.returncode == 0, result.stderr
        yield ROOT / "data" / "saved" / name / "test-clean-35m"
    finally:
        shutil.rmtree(ROOT / "data" / "saved" / name, ignore_errors=True)


@pytest.fixture(scope="module")
def rows(heard: Path) -> list[Row]:
    found = analyse(read_objects(heard), Normalizer())
    assert len(found) == 240
    assert sum(row.words.errors for row in found) > 500  # a model that errs
    return found


def test_kaldis_aligner_counts_the_same_errors(rows: list[Row]) -> None:
    for row in rows:
        theirs = kaldialign.edit_distance(row.reference.split(), row.hypothesis.split())
        assert row.words.errors == theirs["total"]
        theirs = kaldialign.edit_distance(list(row.reference), list(row.hypothesis))
        assert row.characters.errors == theirs["total"]


def cheapest(reference: list[str], hypothesis: list[str]) -> int:
    """The least cost of an alignment under sclite's weights."""
    costs = [OTHER * n for n in range(len(hypothesis) + 1)]
    for said in reference:
        diagonal, costs[0] = costs[0], costs[0] + OTHER
        for n, word in enumerate(hypothesis, start=1):
            here = diagonal + (SUBSTITUTION if said != word else 0)
            diagonal = costs[n]
            costs[n] = min(here, costs[n] + OTHER, costs[n - 1] + OTHER)
    return costs[-1]


@pytest.mark.skipif(SCLITE is None, reason="needs sclite, of NIST's sctk")
def test_sclite_counts_the_same_errors(rows: list[Row], tmp_path: Path) -> None:
    """sclite weighs a substitution 4 and others 3, so that its alignment may be another one."""
    for name in ("reference", "hypothesis"):
        lines = "".join(f"{getattr(row, name)} ({row.name})\n" for row in rows)
        (tmp_path / f"{name}.trn").write_text(lines, encoding="utf-8")
    program = [str(SCLITE), *(["sclite"] if str(SCLITE).endswith("sctk") else [])]
    sides = ["-r", "reference.trn", "trn", "-h", "hypothesis.trn", "trn", "-i", "rm"]
    done = subprocess.run(
        [*program, *sides, "-o", "pra", "stdout"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    scored = {name: tuple(map(int, counts)) for name, *counts in _SCORES.findall(done.stdout)}
    assert scored.keys() == {row.name for row in rows}
    theirs = 0
    for row in rows:
        right, substitutions, deletions, insertions = scored[row.name]
        ours, others = row.words, deletions + insertions
        assert right + substitutions + deletions == ours.reference
        assert deletions - insertions == ours.deletions - ours.insertions
        cost = cheapest(row.reference.split(), row.hypothesis.split())
        assert SUBSTITUTION * substitutions + OTHER * others == cost
        assert ours.errors <= substitutions + others
        theirs += substitutions + others
    assert sum(row.words.errors for row in rows) == pytest.approx(theirs, rel=0.002)


@pytest.fixture(scope="module")
def page(command: Run, heard: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    words = ["--dir_path", str(heard), "--html", str(path), "--audio", "240", "--json"]
    done = command("calc_wer_cer.py", *words)
    assert done.returncode == 0, done.stderr
    return path


def test_a_page_with_all_recordings_is_below_20_megabytes(page: Path) -> None:
    assert page.read_text(encoding="utf-8").count('"audio":') == 240
    assert page.stat().st_size < 20e6


@pytest.fixture
def browser(page: Path) -> Iterator[Browser]:
    with chromium("--autoplay-policy=no-user-gesture-required") as opened:
        opened.get(page.as_uri())
        yield opened


@needs_browser
def test_the_page_is_sorted_searched_and_heard(browser: Browser, heard: Path) -> None:
    told = {each.stem: json.loads(each.read_text("utf-8")) for each in heard.glob("*.json")}
    shown = "return [...document.querySelectorAll('tbody tr.row')].map((row) => row.dataset.id)"
    browser.find_element(By.CSS_SELECTOR, "th[data-key=duration]").click()
    by_duration = browser.execute_script(shown)
    durations = [told[name]["duration"] for name in by_duration]
    assert durations == sorted(durations, reverse=True)
    assert len(by_duration) == 240
    browser.find_element(By.ID, "search").send_keys("8224")
    names = browser.execute_script(shown)
    assert {told[name]["speaker"] for name in names} == {"8224"}
    assert browser.find_element(By.ID, "count").text == f"{len(names)} of 240 utterances"
    browser.find_element(By.CSS_SELECTOR, f"tr[data-id='{names[0]}']").click()
    play = """
        const done = arguments[0], audio = document.querySelector("audio");
        audio.ontimeupdate = () => { if (audio.currentTime > 0.2) done(audio.duration); };
        audio.onerror = () => done(-1);
        audio.play();
    """
    seconds = browser.execute_async_script(play)
    assert seconds == pytest.approx(told[names[0]]["duration"], abs=0.1)
    assert complaints(browser) == []
