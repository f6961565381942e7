"""The pictures of docs/how-to/correcting.md: python -m tests.labelling.pictures FOLDER

FOLDER has at least three recordings of speech; it is copied and stays as it is.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import Browser
from tests.labelling.test_label_page import DEAF, Program, opened, press, retype, shown, wait
from tests.toy import ROOT


def shoot(browser: Browser, name: str) -> None:
    """Write what is seen as docs/images/NAME.png, in 64 colours."""
    image = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    image.quantize(64).save(ROOT / "docs/images" / f"{name}.png", optimize=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(sys.argv[1], Path(place) / "recordings"))
        program = Program(folder, ROOT / "models/english.pth")
        address = program.start()
        try:
            with opened(address) as one, opened(address) as other:
                for browser in (one, other):
                    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "#picture canvas"))
                press(one, *[Keys.ARROW_RIGHT] * 5)
                shoot(one, "label")
                text = str(one.find_element(By.ID, "written").get_property("value"))
                one.execute_script(DEAF)
                retype(other, f"{text} there{Keys.ENTER}")
                wait(other, lambda b: shown(b, "about").startswith("1 of"))
                wait(other, lambda b: shown(b, "saved") == "saved")
                retype(one, f"{text} here{Keys.ENTER}")
                wait(one, lambda b: "somebody else" in shown(b, "status"))
                one.execute_script("window.fetch = heard")
                wait(one, lambda b: b.find_elements(By.CSS_SELECTOR, "#list .conflict"))
                press(one, "c")
                wait(one, lambda b: b.find_elements(By.CSS_SELECTOR, "#choices .conflict"))
                wait(one, lambda b: b.find_elements(By.CSS_SELECTOR, "#picture canvas"))
                shoot(one, "label_conflict")
        finally:
            program.kill()


if __name__ == "__main__":
    main()
