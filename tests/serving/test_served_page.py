"""The page in a headless Chromium, as somebody uses it."""

from __future__ import annotations

import base64
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

from deepspeech2.inference import Recognizer
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


def drop(browser: Browser, file: Path) -> None:
    """Drag a file from the desktop onto the page and let it go, as the browser itself sees it."""
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    box = browser.find_element(By.ID, "drop").rect
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "data": data, **place}
        browser.execute_cdp_cmd("Input.dispatchDragEvent", event)


PIXELS = """
const tiles = [...document.querySelectorAll('#picture canvas')];
return tiles.flatMap((c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]);
"""
WIDTH = "return parseFloat(document.getElementById('picture').style.width)"  # 110 pixels a second


def test_a_file_is_dropped_and_its_subtitles_are_taken(
    browser: Browser, server: str, recording: Path, recognizer: Recognizer, downloads: Path
) -> None:
    browser.get(server)
    wait(browser, lambda b: "Argmax" in text(b, "about"))
    drop(browser, recording)
    wait(browser, lambda b: "words in" in text(b, "status"))
    expected = recognizer.transcribe(recording)
    assert heard(browser) == [word.word for word in expected.words]
    marks = browser.find_elements(By.CSS_SELECTOR, "#marks span")
    assert [mark.text for mark in marks] == heard(browser)
    assert f"{expected.words[0].start:.2f} to" in marks[0].get_attribute("title")
    assert browser.execute_script(WIDTH) == pytest.approx(110 * expected.duration, abs=6)
    assert np.std(browser.execute_script(PIXELS)) > 20  # there is a picture
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


def test_a_chosen_file_takes_the_place_of_a_recording_in_the_making(
    browser: Browser, server: str, recording: Path, recognizer: Recognizer
) -> None:
    browser.get(server)
    wait(browser, lambda b: "Argmax" in text(b, "about"))
    browser.find_element(By.ID, "record").click()
    wait(browser, lambda b: text(b, "status") == "listening …")
    browser.find_element(By.ID, "file").send_keys(str(recording))
    wait(browser, lambda b: "words in" in text(b, "status"))
    assert not browser.find_element(By.ID, "stop").is_displayed()
    time.sleep(1.5)  # in which a recording would have gone on
    assert heard(browser) == recognizer.transcribe(recording).text.split()
    gauge = "deepspeech2_streams 0.0"
    fetch = "return fetch('/metrics').then((answer) => answer.text())"
    wait(browser, lambda b: gauge in b.execute_script(fetch))
    assert complaints(browser) == []


LONG = """
window.WebSocket = class {
  static OPEN = 1;
  readyState = 1;
  constructor() {
    window.tell = (message) => this.onmessage({ data: JSON.stringify(message) });
    setTimeout(() => this.onopen());
  }
  send() {}
  close() {}
};
"""


def test_a_recording_of_an_hour_is_drawn_to_its_end(browser: Browser, server: str) -> None:
    """More columns than a browser allows a canvas, from a server that is made up."""
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LONG})
    try:
        browser.get(server)
        wait(browser, lambda b: "Argmax" in text(b, "about"))
        browser.find_element(By.ID, "record").click()
        wait(browser, lambda b: text(b, "status") == "listening …")
        minutes, a_minute, height = 60, 6000, 4
        columns = {
            "width": a_minute,
            "height": height,
            "seconds_per_column": 0.01,
            "data": base64.b64encode(bytes([200]) * a_minute * height).decode(),
        }
        for number in range(minutes):
            start = 60.0 * number
            words = [
                {"word": f"w{number}", "start": start, "end": start + 1, "confidence": 0.5},
                {"word": "loose", "start": start + 30, "end": start + 31, "confidence": 0.5},
            ]
            browser.execute_script(
                "tell(arguments[0])",
                {"type": "partial", "settled": number, "words": words, "spectrogram": columns},
            )
        assert heard(browser) == [*(f"w{number}" for number in range(minutes)), "loose"]
        assert browser.execute_script(WIDTH) == pytest.approx(110 * 60 * minutes)
        last = browser.find_elements(By.CSS_SELECTOR, "#picture canvas")[-1]
        pixel = "return arguments[0].getContext('2d').getImageData(999, 0, 1, 1).data[3]"
        assert browser.execute_script(pixel, last) == 255  # drawn to its last column
        assert complaints(browser) == []
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_what_is_no_recording_is_told(browser: Browser, server: str, tmp_path: Path) -> None:
    browser.get(server)
    (tmp_path / "notes.wav").write_text("not a sound")
    browser.find_element(By.ID, "file").send_keys(str(tmp_path / "notes.wav"))
    wait(browser, lambda b: "no audio" in text(b, "status"))
    assert "error" in browser.find_element(By.ID, "status").get_attribute("class")
