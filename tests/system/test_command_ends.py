"""Every long command ends within seconds, whatever ends it, and leaves no process behind.

``pytest -m exhaustive tests/system/test_command_ends.py`` tries every end of every command.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.system import writers
from tests.system.ends import UNTIL, end, start
from tests.toy import overrides

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="POSIX signals, /proc"),
]

PLACES = {  # where it happens; the first five have readers
    "inference": "deepspeech2.evaluation._recognized",
    "tune_decoder": "deepspeech2.extras.tuning._add",
    "calibrate": "deepspeech2.evaluation._recognized",
    "robustness": "deepspeech2.extras.robustness.measure._recognize",
    "suspects": "deepspeech2.extras.suspects.listing.evidence",
    "preview": "deepspeech2.extras.checks.preview.examples._panel",
    "doctor": "deepspeech2.extras.checks.audio_check._check",
    "export onnx": "deepspeech2.extras.interchange.onnx_export.write",
    "segment": "deepspeech2.extras.segmentation.corpus._write",
    "train_lm": "deepspeech2.commands.train_lm.estimate",
    "train_tokenizer": "deepspeech2.commands.train_tokenizer.train_pieces",
    "serve": "deepspeech2.extras.serving.uploads.UploadTranscriber._transcribe",
}
EVENTS = ("error", "reader", "SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP", "nohup SIGHUP")
CHOSEN = {
    ("tune_decoder", "SIGTERM"),
    ("robustness", "reader"),
    ("serve", "SIGHUP"),
    ("segment", "SIGINT"),
}
ALL = [
    (name, event)
    for name in PLACES
    for event in EVENTS
    if event != "reader" or name in list(PLACES)[:5]
]


@pytest.fixture(scope="module")
def staged(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return writers.stage(tmp_path_factory.mktemp("writers") / "stage", toy_run)


def command(name: str, staged: Path, toy_run: Path) -> list[str]:
    if name == "serve":
        best = str(toy_run / "model_best.pth")
        return ["scripts/serve.py", "--port", "0", "--greedy", "--checkpoint", best]
    if name == "doctor":
        data = toy_run.parent / "data"
        return ["scripts/doctor.py", "-cn=an4", *overrides(data, staged / "out")]
    words = writers.programs(staged, toy_run)[name]
    readers = "dataloader.num_workers=2"
    return [readers if word.startswith("dataloader.num_workers") else word for word in words]


@pytest.mark.parametrize(
    ("name", "event"),
    [pytest.param(*case, marks=[] if case in CHOSEN else pytest.mark.exhaustive) for case in ALL],
)
def test_a_command_ends(staged: Path, toy_run: Path, tmp_path: Path, name: str, event: str) -> None:
    writers.fresh(staged, toy_run)
    happened = tmp_path / "happened"
    process = start(
        *(UNTIL, PLACES[name], "1", event, *command(name, staged, toy_run)),
        nohup=event.startswith("nohup"),
        HAPPENED=str(happened),
    )
    if name == "serve":
        _ask(process, toy_run, event)
    _, error = end(process)
    took = time.time() - float(happened.read_text())
    print(f"| {name} | {event} | {process.returncode} | {took:.1f} | {error.splitlines()[-1:]} |")
    assert writers.remains(staged / "out") == []
    assert ("Traceback" in error) == (event == "error"), error
    if event == "error":
        assert process.returncode == (143 if name == "serve" else 1)
    elif event == "reader":
        assert process.returncode == 2
        assert "a process that reads audio was killed by SIGKILL" in error
    elif event == "nohup SIGHUP":
        assert process.returncode == (143 if name == "serve" else 0), error
    else:
        assert process.returncode == 128 + getattr(signal, event), error
        assert error.splitlines()[-1] == f"interrupted by {event}"


def _ask(process: subprocess.Popen[str], toy_run: Path, event: str) -> None:
    """Send the server a recording; if it goes on serving, the next one is answered, and it ends."""
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    recording = (toy_run.parent / "data/val/val-001.wav").read_bytes()

    def post() -> int:
        return httpx.post(f"{address}/transcribe", files={"file": recording}).status_code

    if event in ("error", "nohup SIGHUP"):
        assert [post(), post()] == [500 if event == "error" else 200, 200]
        process.terminate()
        return
    with suppress(httpx.HTTPError):
        post()
