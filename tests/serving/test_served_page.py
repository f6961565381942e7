"""The page in a headless Chromium, as somebody uses it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import srt
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from src.inference import Recognizer
from tests.browser import Browser, chromium, complaints, needs_browser
from tests.toy import RATE

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def spoken(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone hears, over and over: the recording and a second of silence."""
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    samples, rate = soundfile.read(recording)
    soundfile.write(path, np.concatenate((samples, np.zeros(rate))), RATE)
    return path


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(spoken: Path, downloads: Path) -> Iterator[Browser]:
    arguments = (
        "--window-size=1000,760",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={spoken}",
    )
    with chromium(*arguments, downloads=downloads) as opened:
        yield opened


def text(browser: Browser, name: str) -> str:
    return browser.find_element(By.ID, name).text


def wait(browser: Browser, condition: object, seconds: float = 60.0) -> None:
    WebDriverWait(browser, seconds, 0.1).until(condition)  # type: ignore[arg-type]


def heard(browser: Browser) -> list[str]:
    every = "return [...document.querySelectorAll('#text span')].map((span) => span.textContent)"
    return list(browser.execute_script(every))  # at once: the words change while one reads


def test_a_file_is_dropped_and_its_subtitles_are_taken(
    browser: Browser, server: str, recording: Path, recognizer: Recognizer, downloads: Path
) -> None:
    browser.get(server)
    wait(browser, lambda b: "Argmax" in text(b, "about"))
    browser.find_element(By.ID, "file").send_keys(str(recording))
    wait(browser, lambda b: "words in" in text(b, "status"))
    expected = recognizer.transcribe(recording)
    assert heard(browser) == [word.word for word in expected.words]
    marks = browser.find_elements(By.CSS_SELECTOR, "#marks span")
    assert [mark.text for mark in marks] == heard(browser)
    assert f"{expected.words[0].start:.2f} to" in marks[0].get_attribute("title")
    width = browser.execute_script("return document.getElementById('picture').width")
    assert width == pytest.approx(expected.duration / 0.01, rel=0.3)
    shown = "const c = document.getElementById('picture');"
    pixels = f"{shown} return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data];"
    assert np.std(browser.execute_script(pixels)) > 20  # there is a picture
    length = "return document.getElementById('player').duration"
    wait(browser, lambda b: b.execute_script(length))
    assert browser.execute_script(length) == pytest.approx(expected.duration, abs=0.05)
    browser.find_element(By.CSS_SELECTOR, "[data-format=srt]").click()
    file = downloads / f"{recording.stem}.srt"
    wait(browser, lambda b: file.is_file())
    subtitles = list(srt.parse(file.read_text()))
    assert " ".join(each.content for each in subtitles).split() == heard(browser)
    browser.find_element(By.CSS_SELECTOR, "[data-format=json]").click()
    file = downloads / f"{recording.stem}.json"
    wait(browser, lambda b: file.is_file())
    assert json.loads(file.read_text())["text"] == expected.text
    assert complaints(browser) == []


def test_a_recording_is_made_and_words_come(
    browser: Browser, server: str, recognizer: Recognizer, spoken: Path
) -> None:
    browser.get(server)
    wait(browser, lambda b: "Argmax" in text(b, "about"))
    browser.find_element(By.ID, "record").click()
    wait(browser, lambda b: heard(b))  # while it still listens
    assert text(browser, "status") == "listening …"
    time.sleep(3 * soundfile.info(spoken).duration)
    browser.find_element(By.ID, "stop").click()
    wait(browser, lambda b: "words in" in text(b, "status"))
    wanted = "".join(recognizer.transcribe(spoken).text.split())
    assert wanted in "".join(heard(browser))  # once, at least, of the times that it was played
    assert browser.find_element(By.ID, "player").is_displayed()
    assert complaints(browser) == []


def test_what_is_no_recording_is_told(browser: Browser, server: str, tmp_path: Path) -> None:
    browser.get(server)
    (tmp_path / "notes.wav").write_text("not a sound")
    browser.find_element(By.ID, "file").send_keys(str(tmp_path / "notes.wav"))
    wait(browser, lambda b: "no audio" in text(b, "status"))
    assert "error" in browser.find_element(By.ID, "status").get_attribute("class")
