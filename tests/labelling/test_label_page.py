"""The desk in a headless Chromium, by keyboard alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from deepspeech2.extras.labelling.journal import Journal
from deepspeech2.extras.labelling.labels import Label
from tests.browser import Browser, chromium, complaints, needs_browser
from tests.system.conftest import ENVIRONMENT
from tests.toy import ROOT

pytestmark = [pytest.mark.slow, needs_browser]

NAMES = ["0.wav", "1.wav", "2.wav", "4.wav", "5.wav", "in/3.wav"]

DEAF = """
window.heard = fetch;
window.fetch = (path, ...more) =>
  path.startsWith("/labels") ? Promise.reject() : heard(path, ...more);
"""


class Program:
    """The command on a folder, always at the same port once it has one."""

    def __init__(self, folder: Path, checkpoint: Path) -> None:
        self.words = [
            sys.executable, "scripts/label.py", str(folder), "--checkpoint", str(checkpoint),
            "--order", "name", "--min-confidence", "1", "--who", "ann", "--threads", "1",
        ]  # fmt: skip
        self.port = "0"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        self.process = subprocess.Popen(
            [*self.words, "--port", self.port],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        address = next(line.strip() for line in self.process.stdout if line.startswith("http"))
        self.port = address.rpartition(":")[2]
        return address

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


@pytest.fixture
def program(folder: Path, toy_run: Path) -> Iterator[Program]:
    started = Program(folder, toy_run / "model_best.pth")
    yield started
    started.kill()


@contextmanager
def opened(address: str) -> Iterator[Browser]:
    arguments = ("--window-size=1000,1120", "--autoplay-policy=no-user-gesture-required")
    with chromium(*arguments) as browser:
        browser.get(address)
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "#marks span"))
        yield browser


def wait(browser: Browser, condition: Callable[[Browser], Any], seconds: float = 60.0) -> None:
    WebDriverWait(browser, seconds, 0.05).until(condition)


def shown(browser: Browser, name: str) -> str:
    return browser.find_element(By.ID, name).text


def written(browser: Browser) -> str:
    return str(browser.find_element(By.ID, "written").get_property("value"))


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def at(browser: Browser, name: str) -> None:
    """Wait until an utterance is shown with all that was heard in it."""
    wait(browser, lambda b: shown(b, "name").startswith(f"{name},"))
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "#picture canvas"))


def retype(browser: Browser, text: str) -> None:
    press(browser, "e")
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).perform()
    press(browser, text)


def saved(browser: Browser) -> None:
    wait(browser, lambda b: shown(b, "saved") == "saved")


def labels(folder: Path) -> dict[str, Label]:
    return {name: label for name, (_, label) in Journal(folder).read().current.items()}


def test_a_folder_is_corrected_by_keyboard_alone(program: Program, folder: Path) -> None:
    with opened(program.start()) as browser:
        at(browser, "0.wav")
        heard = written(browser)
        press(browser, Keys.ENTER)  # right as it is
        at(browser, "1.wav")
        retype(browser, "Ab, cab")
        press(browser, Keys.ENTER)
        at(browser, "2.wav")
        press(browser, "u")
        at(browser, "4.wav")
        choices = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#choices li")]
        assert choices[0] == written(browser)
        press(browser, str(len(choices)))
        assert written(browser) == choices[-1]
        press(browser, Keys.ENTER)
        at(browser, "5.wav")
        retype(browser, "12")  # refused, with what was typed still there
        press(browser, Keys.ENTER)
        wait(browser, lambda b: "'12' is not in the model's alphabet" in shown(b, "status"))
        wait(browser, lambda b: shown(b, "name").startswith("5.wav,"))
        assert written(browser) == "12"
        retype(browser, "ba")
        press(browser, Keys.ENTER)
        at(browser, "in/3.wav")
        press(browser, Keys.ARROW_UP)
        at(browser, "5.wav")
        press(browser, "z")
        wait(browser, lambda b: written(b) == "12")
        press(browser, Keys.ARROW_UP, Keys.ARROW_UP)
        at(browser, "2.wav")
        saved(browser)
        found = labels(folder)
        assert (found["0.wav"].text, found["0.wav"].state) == (heard, "corrected")
        assert (found["1.wav"].text, found["1.wav"].written) == ("ab cab", "Ab, cab")
        assert found["2.wav"].state == "unusable"
        assert (found["4.wav"].text, found["4.wav"].state) == (choices[-1], "corrected")
        assert (found["5.wav"].text, found["5.wav"].state) == ("12", "open")
        assert shown(browser, "about") == "4 of 6 done"
        assert [each for each in complaints(browser) if "422" not in each] == []


def test_words_are_played_looped_split_joined_and_nudged(program: Program, folder: Path) -> None:
    state = "const p = document.getElementById('player'); return [p.paused, p.currentTime]"
    with opened(program.start()) as browser:
        at(browser, "0.wav")
        retype(browser, "ab cab")
        press(browser, Keys.ESCAPE)
        saved(browser)
        press(browser, " ")
        wait(browser, lambda b: not b.execute_script(state)[0])
        wait(browser, lambda b: b.execute_script(state)[0])  # it ends by itself
        assert browser.execute_script(state)[1] > 0.5
        press(browser, Keys.ARROW_LEFT, Keys.ARROW_LEFT, "l")
        time.sleep(1.0)
        paused, seconds = browser.execute_script(state)
        assert not paused
        assert seconds < 0.5  # of the first word
        press(browser, "l", Keys.ARROW_LEFT, Keys.ARROW_RIGHT, "s")
        wait(browser, lambda b: len(labels(folder)) == 2)
        saved(browser)
        (name,) = set(labels(folder)) - {"0.wav"}
        first, second = labels(folder)["0.wav"], labels(folder)[name]
        assert (first.text, second.text) == ("ab", "cab")
        assert first.end == second.start
        assert second.end == pytest.approx(labels(folder)[name].end)
        press(browser, Keys.ARROW_DOWN)
        at(browser, name)
        assert written(browser) == "cab"
        press(browser, ",")  # earlier
        wait(browser, lambda b: labels(folder)[name].start < second.start)
        press(browser, ">")
        saved(browser)
        press(browser, Keys.ARROW_UP)
        at(browser, "0.wav")
        press(browser, "j")
        wait(browser, lambda b: labels(folder)[name].state == "joined")
        assert labels(folder)["0.wav"].text == "ab cab"
        press(browser, "z")
        wait(browser, lambda b: labels(folder)[name].state == "open")
        assert labels(folder)["0.wav"].text == "ab"
        assert complaints(browser) == []


def test_two_windows_lose_nothing(program: Program, folder: Path) -> None:
    address = program.start()
    with opened(address) as one, opened(address) as other:
        for browser in (one, other):
            at(browser, "0.wav")
            press(browser, Keys.ARROW_DOWN)
            at(browser, "1.wav")
        other.execute_script(DEAF)  # or it would show what the first one saves
        retype(one, f"cab{Keys.ENTER}")
        wait(one, lambda b: "1.wav" in labels(folder))
        saved(one)
        retype(other, f"ba{Keys.ENTER}")
        wait(other, lambda b: "somebody else" in shown(b, "status"))
        other.execute_script("window.fetch = heard")
        assert labels(folder)["1.wav"].text == "cab"
        wait(other, lambda b: b.find_elements(By.CSS_SELECTOR, "#list .conflict"))
        press(other, "c")
        at(other, "1.wav")
        assert written(other) == "cab"
        assert other.find_element(By.CSS_SELECTOR, "#choices .conflict").text.startswith("ba ")
        press(other, "1")
        press(other, Keys.ENTER)
        wait(other, lambda b: labels(folder)["1.wav"].text == "ba")
        wait(other, lambda b: not Journal(folder).read().conflicts)
        press(one, Keys.ARROW_UP)
        at(one, "1.wav")
        wait(one, lambda b: written(b) == "ba")  # without a key


def test_a_killed_server_loses_nothing(program: Program, folder: Path) -> None:
    with opened(program.start()) as browser:
        at(browser, "0.wav")
        press(browser, Keys.ENTER)
        saved(browser)
        program.kill()
        at(browser, "1.wav")
        for text in ("ab", "ba", "cab"):  # nobody is there to take them
            retype(browser, text)
            press(browser, Keys.ENTER)
        wait(browser, lambda b: "3 changes are kept in this browser" in shown(b, "saved"))
        assert set(labels(folder)) == {"0.wav"}
        browser.refresh()  # and even the window is gone
        address = program.start()
        browser.get(address)
        wait(browser, lambda b: len(labels(folder)) == 4)
        saved(browser)
        found = labels(folder)
        assert [found[name].text for name in NAMES[1:4]] == ["ab", "ba", "cab"]
        assert {found[name].state for name in NAMES[:4]} == {"corrected"}
        assert not Journal(folder).read().conflicts
        lines = [
            json.loads(line) for line in Journal(folder).path.read_bytes().split(b"\n") if line
        ]
        assert len({line["revision"] for line in lines}) == len(lines)
