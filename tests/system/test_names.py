"""Names of any kind through whole commands: nothing is changed outside of the given folder.

``pytest -m exhaustive tests/system/test_names.py`` tries the other half of the commands.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.files import safe_name
from scripts.export import main as export
from tests.datasets.test_names import NOT_UTF8, needs_bytes
from tests.system.conftest import ENVIRONMENT
from tests.system.watching import watched
from tests.test_files import NAMES
from tests.toy import ROOT, overrides, speak, write_corpus

pytestmark = pytest.mark.slow
STARTS = [
    "",
    ".",
    "..",
    "../",
    "../../",
    "-",
    "--",
    "~",
    "${",
    "${oc.env:HOME}",
    "CON",
    "nul.",
    "/",
]
N_NAMES = 200


@pytest.fixture(scope="module")
def names() -> list[str]:
    """Different ones, among them all that are named in the issue that asked for them."""
    found = {
        "..",
        "...",
        "a\nWER: 0 %",
        "x" * 300,
        NOT_UTF8,
        "${data_dir}",
        "-rf",
        ".hidden",
        "nul",
    }

    @settings(max_examples=2 * N_NAMES, database=None)
    @given(st.builds(str.__add__, st.sampled_from(STARTS), NAMES))
    def collect(name: str) -> None:
        if name and len(found) < N_NAMES:
            found.add(name)

    collect()
    assert len(found) == N_NAMES
    return sorted(found)


@pytest.fixture(scope="module")
def place(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in a folder with other files, with recordings that are called so, and lists."""
    outside = tmp_path_factory.mktemp("outside")
    folder = outside / "above" / "given"
    write_corpus(folder, {"train": 4, "val": 2})
    for path in (outside / "kept.json", folder.parent / "kept.json", folder.parent / ".json"):
        path.write_text('{"pred_text": "kept"}', "ascii")
    recording = folder / "train/train-000.wav"
    for name in names:
        if "/" not in name:
            (folder / "audio").mkdir(exist_ok=True)
            try:
                os.link(recording, folder / "audio" / f"{name}.wav")
            except (OSError, ValueError):  # the system has no such names
                continue
    assert len(list((folder / "audio").iterdir())) > N_NAMES / 4
    row = {"audio_filepath": "train/train-000.wav", "duration": 0.5, "text": "AB"}
    rows = [json.dumps({**row, "id": name, "speaker": name}) for name in names]
    for manifest in ("...jsonl", "train.jsonl", "val.jsonl"):
        (folder / manifest).write_text("\n".join(rows), "ascii")
    (folder / "tmp").mkdir()
    return folder


def run(place: Path, *words: str) -> subprocess.Popen[str]:
    """Start a program that may change what is below ``place``."""
    return subprocess.Popen(
        [sys.executable, "tests/system/watching.py", str(place / "changed"), str(place), *words],
        cwd=ROOT,
        env={
            **os.environ, **ENVIRONMENT, "TMPDIR": str(place / "tmp"), "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1", "MPLCONFIGDIR": str(place / "tmp"),
            "TORCHINDUCTOR_CACHE_DIR": str(place / "tmp"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )  # fmt: skip


def end(process: subprocess.Popen[str], place: Path, status: int = 0) -> str:
    """What the program printed; nothing outside has changed."""
    out, error = process.communicate(timeout=300)
    assert process.returncode == status, error
    assert "Traceback" not in error
    changed = (place / "changed").read_text("utf-8").splitlines()
    # Python 3.14 has its sockets there where TMPDIR is too long for their names
    assert [line for line in changed if not re.search(r" '/tmp(/(tmp)?\w{8})?'$", line)] == []
    above = place.parent
    assert sorted(path.name for path in above.iterdir()) == [".json", "given", "kept.json"]
    assert sorted(path.name for path in above.parent.iterdir()) == ["above", "kept.json"]
    for path in (above / "kept.json", above / ".json", above.parent / "kept.json"):
        assert path.read_text("ascii") == '{"pred_text": "kept"}'
    return out


@pytest.mark.parametrize("audio", ["audio", pytest.param("...jsonl", marks=pytest.mark.exhaustive)])
def test_transcribe(place: Path, toy_run: Path, names: list[str], audio: str) -> None:
    def transcribe(*more: str) -> None:
        words = (f"inferencer.from_pretrained={toy_run / 'model_best.pth'}", "inferencer.threads=1")
        words += (f"inferencer.save_path={place / 'heard'}", "inferencer.formats=[txt,jsonl,ctm]")
        process = run(
            place, "inference.py", "-cn=transcribe", f"audio={place / audio}", *words, *more
        )
        out = end(process, place)
        assert not any(line.startswith("WER: 0") for line in out.splitlines())

    transcribe()
    folder = place / "heard" / ("audio" if audio == "audio" else safe_name(".."))
    n_heard = len(list(folder.glob("*.json")))
    hidden = [path for path in (place / "audio").iterdir() if path.name.startswith(".")]
    assert n_heard == (
        N_NAMES if audio != "audio" else len(list((place / "audio").iterdir())) - len(hidden)
    )
    # predictions of another model, and an index that names what is elsewhere
    (folder / ".made_with").write_text("{}", "ascii")
    with (folder / ".predictions").open("a", encoding="utf-8", errors="replace") as index:
        index.write("".join(f"{name}.json\n" for name in ("../kept", "../../../kept", *names)))
    transcribe("inferencer.overwrite=true")
    assert len(list(folder.glob("*.json"))) == n_heard


def test_train(place: Path) -> None:
    words = overrides(place, place / "runs", "transforms=none", "trainer.n_epochs=1")
    end(run(place, "train.py", "-cn=an4", *words, "dataloader.num_workers=null"), place)
    assert (place / "runs/toy/model_best.pth").is_file()


def _can_be_typed(name: str) -> bool:
    try:
        return bool(os.fsencode(name))
    except UnicodeEncodeError:  # half a character of UTF-16
        return False


def test_export(
    place: Path, toy_run: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place / "exports"
    folder.mkdir()
    before = sorted(path.name for path in place.iterdir())
    changed: list[str] = []
    n_exported = 0
    for name in names:
        if "/" in name or "\0" in name or not _can_be_typed(name):
            continue
        with watched([str(folder)], changed.append):
            status = export([str(toy_run / "model_best.pth"), f"--output={folder}/{name}.pth"])
        assert status in (0, 2)
        n_exported += status == 0
    assert changed == []
    assert not any(line.startswith("WER: 0") for line in capsys.readouterr().out.splitlines())
    assert len(list(folder.glob("*.pth"))) == n_exported
    assert n_exported > N_NAMES / 4
    assert sorted(path.name for path in place.iterdir()) == before


@pytest.mark.exhaustive
def test_serve(place: Path, toy_run: Path, names: list[str]) -> None:
    recording = (place / "train/train-000.wav").read_bytes()
    words = ["scripts/serve.py", "--port", "0", "--greedy", "--threads", "1"]
    process = run(place, *words, "--checkpoint", str(toy_run / "model_best.pth"))
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    with httpx.Client(timeout=100) as client:
        for name in names:
            name = name.encode("utf-8", "replace").decode()  # as a browser sends it
            answer = client.post(f"{address}/transcribe", files={"file": (name, recording)})
            assert answer.status_code == 200, (name, answer.text)
    process.terminate()
    end(process, place, status=143)
    assert list((place / "tmp").glob("tmp*")) == []


@needs_bytes
@pytest.mark.parametrize(
    "program",
    [
        "scripts/preview.py",
        pytest.param("scripts/doctor.py", marks=pytest.mark.exhaustive),
        pytest.param("train.py", marks=pytest.mark.exhaustive),
    ],
)
def test_names_that_are_not_utf_8(tmp_path: Path, program: str) -> None:
    place = tmp_path / "above" / "given"
    write_corpus(place, {"val": 3})
    folder = place / "speech" / NOT_UTF8
    folder.mkdir(parents=True)
    (place / "tmp").mkdir()
    for path in (tmp_path / "kept.json", place.parent / "kept.json", place.parent / ".json"):
        path.write_text('{"pred_text": "kept"}', "ascii")
    for index in range(4):
        name = folder / f"{NOT_UTF8}{index}"
        soundfile.write(os.fsencode(f"{name}.wav"), speak("ab", index), 16000, format="WAV")
        name.with_suffix(".txt").write_text("AB" if index else "A\u202eB", "utf-8")
    (folder / f"{NOT_UTF8}.wav").write_bytes(b"no sound")
    train = f"{{_target_: deepspeech2.datasets.DirectoryCorpus, directory: {place / 'speech'}}}"
    words = overrides(place, place / "runs", "transforms=small", "trainer.n_epochs=1")
    words += ["~datasets.train", f"+datasets.train={train}"]
    if "preview" in program:
        words += [f"+preview.save_path={place / 'preview'}", "+preview.utterances=1"]
    out = end(run(place, program, "-cn=an4", *words), place)
    shown: list[str] | list[Path] = {
        "scripts/doctor.py": [out],
        "scripts/preview.py": list((place / "preview").glob("*.*")),
        "train.py": [place / "runs/toy/info.log"],
    }[program]
    assert shown
    for each in shown:
        text = each if isinstance(each, str) else each.read_text("utf-8")
        assert r"caf\udce9-\udcff.wav" in text
