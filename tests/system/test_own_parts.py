"""Parts of one's own, as docs/how-to/extend.md writes them, from training to export."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.toy import ROOT, overrides, write_corpus

PAGE = (ROOT / "docs/how-to/extend.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", PAGE, re.MULTILINE | re.DOTALL))


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / words[0]), *words[1:]], cwd=place, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's parts, and the toy corpus as the page's corpus wants it."""
    place = tmp_path_factory.mktemp("own")
    for name in ("model", "datasets", "loss_function", "optimizer"):
        (place / "my_configs" / name).mkdir(parents=True)
    for name, text in FILES.items():
        (place / name).write_text(text, encoding="utf-8")
    with (place / "my_parts.py").open("a", encoding="utf-8") as file:
        file.write("\nwith open('imported.txt', 'a') as file:\n    print(__name__, file=file)\n")
    configs = place / "my_configs"
    (configs / "loss_function/mine.yaml").write_text("_target_: my_parts.ctc\n", "utf-8")
    (configs / "optimizer/mine.yaml").write_text("_target_: my_parts.adam\nlr: 1e-2\n", "utf-8")
    data = write_corpus(place / "recordings", {"train": 48})
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text("utf-8").splitlines()]
    texts = {row["audio_filepath"]: row["text"] for row in rows}
    (data / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    return place


def training(place: Path, name: str, *more: str) -> list[str]:
    words = overrides(place / "recordings", place / "saved")
    kept = [word for word in words if word.partition("=")[0] not in ("datasets", "optimizer")]
    kept = [word for word in kept if not word.startswith(("model", "writer.run_name"))]
    return [
        "train.py", "-cd", "my_configs", "-cn=an4", *kept, "model=tdnn", "datasets=mine",
        f"datasets.train.path={place / 'recordings/texts.json'}",
        f"datasets.val.path={place / 'recordings/texts.json'}",
        "optimizer=mine", "loss_function=mine",
        "transforms.waveform_transforms=[{_target_: my_parts.Louder}]",
        f"writer.run_name={name}", *more,
    ]  # fmt: skip


def weights(place: Path, name: str) -> dict[str, torch.Tensor]:
    path = place / "saved" / name / "checkpoint-last.pth"
    return dict(torch.load(path, weights_only=True)["state_dict"])


def test_killed_resumed_transcribed_and_exported(place: Path) -> None:
    whole = run(place, *training(place, "whole", "trainer.n_epochs=6"))
    assert whole.returncode == 0, whole.stderr
    checked = run(place, "scripts/doctor.py", *training(place, "checked")[1:])
    assert "cannot be built" not in checked.stdout + checked.stderr
    assert checked.returncode in (0, 1), checked.stderr

    # killed after a save in the middle, and resumed: the same weights to the bit
    words = training(place, "killed", "trainer.n_epochs=6", "trainer.save_every=2")
    words[0] = str(ROOT / words[0])
    process = subprocess.Popen([sys.executable, *words], cwd=place, stderr=subprocess.DEVNULL)
    last = place / "saved/killed/checkpoint-last.pth"
    until = time.monotonic() + 120
    while not last.exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0)
    resumed = run(
        place,
        *training(
            place, "killed", "trainer.n_epochs=6", "trainer.save_every=2",
            "trainer.resume_from=auto",
        ),
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    expected, found = weights(place, "whole"), weights(place, "killed")
    assert all(torch.equal(expected[key], found[key]) for key in expected)

    # a program that was not told of the module does not import it
    best = place / "saved/whole/model_best.pth"
    (place / "imported.txt").unlink()
    recording = next((place / "recordings/train").glob("*.wav"))
    transcribe = [
        "inference.py", "-cn=transcribe", f"audio={recording}", "decoder=greedy",
        f"inferencer.from_pretrained={best}",
        "inferencer.device=cpu",
    ]  # fmt: skip
    export = ["scripts/export.py", str(best), "--output"]
    served = ["scripts/serve.py", "--checkpoint", str(best), "--port", "0"]
    aligned = ["scripts/align.py", str(recording), "--text", "a", "--checkpoint", str(best)]
    for words in (transcribe, [*export, str(place / "no.onnx")], served, aligned):
        refused = run(place, *words)
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: ")
        assert "plugins=[my_parts]" in refused.stderr.splitlines()[-1]
        assert not (place / "imported.txt").exists()

    # one that was, transcribes; and in ONNX it says the same
    texts = []
    onnx = place / "mine.onnx"
    done = run(place, *export, str(onnx), "--plugin", "my_parts")
    assert done.returncode == 0, done.stderr
    for model in (best, onnx):
        folder = place / f"from_{model.suffix[1:]}"
        words = [word.replace(str(best), str(model)) for word in transcribe]
        done = run(place, *words, f"inferencer.save_path={folder}", "plugins=[my_parts]")
        assert done.returncode == 0, done.stderr
        (written,) = folder.rglob(f"{recording.stem}.json")
        texts.append(json.loads(written.read_text(encoding="utf-8"))["pred_text"])
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("module", "expected"),
    [("no_such_parts", "no_such_parts"), ("my_parts.py", "without .py")],
)
def test_a_module_that_is_not_there(place: Path, module: str, expected: str) -> None:
    refused = run(place, "inference.py", "-cn=transcribe", f"plugins=[{module}]", "audio=a.wav")
    assert refused.returncode == 2
    assert expected in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
