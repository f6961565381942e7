"""scripts/preview.py on toy corpora: what the page tells is what training does."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deepspeech2.config.loaders import open_loader
from deepspeech2.datasets import ManifestCorpus
from deepspeech2.settings import DataloaderSettings
from deepspeech2.text import TextEncoder
from tests.browser import chromium, complaints, needs_browser
from tests.system.conftest import ENVIRONMENT, Run
from tests.toy import RATE, overrides, speak, write_corpus

SCRIPT = "scripts/preview.py"
DATA_URL = re.compile(r'src="data:(\w+)/(\w+);base64,([^"]+)"')
FILTERS = (
    "transforms.waveform_transforms=["
    "{_target_: deepspeech2.transforms.SpeedPerturbation, factors: [0.5, 1.0]},"
    "{_target_: deepspeech2.transforms.OneOf, p: 0.5, transforms: ["
    "{_target_: deepspeech2.transforms.Gain, min_gain_db: -20, max_gain_db: -20},"
    "{_target_: deepspeech2.transforms.ColoredNoise, min_snr_db: 5, max_snr_db: 6}]}]"
)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight utterances to learn from and four that cannot be; three to validate with."""
    folder = write_corpus(tmp_path / "data", {"train": 8, "val": 3})
    rows = []
    for name, text, file in (
        ("strange", "ÀB<script>", "strange"),
        ("crowded", "abcabcabcabc" * 30, "crowded"),
        ("gone", "ab", "far" * 30 + "/nowhere"),
        ("long", "ab", "long"),
    ):
        wave = np.zeros(31 * RATE) if name == "long" else speak("ab", 41)
        soundfile.write(folder / "train" / f"{name}.wav", wave, RATE)
        row = {"audio_filepath": f"train/{file}.wav", "duration": len(wave) / RATE, "text": text}
        rows.append(json.dumps(row) + "\n")
    with (folder / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write("".join(rows))
    return folder


def words(data: Path, place: Path, *more: str) -> list[str]:
    chosen = [f"+preview.save_path={place}", "+preview.utterances=2", "+preview.draws=2"]
    return ["-cn=an4", *overrides(data, place / "saved", *chosen, FILTERS, *more)]


def numbers(place: Path) -> dict[str, Any]:
    return json.loads((place / "numbers.json").read_text(encoding="utf-8"))


def embedded(page: str) -> list[tuple[str, bytes]]:
    return [(kind, base64.b64decode(body)) for kind, _, body in DATA_URL.findall(page)]


def test_the_page_holds_what_training_will_do(
    quick_command: Run, data: Path, tmp_path: Path
) -> None:
    place = tmp_path / "preview"
    result = quick_command(SCRIPT, *words(data, place))
    assert result.returncode == 0, result.stderr
    assert f"open in a browser: {place / 'index.html'}" in result.stdout
    assert not (place / "saved").exists()  # nothing of a run
    told = numbers(place)
    train = told["train"]

    # characters, counted from the manifest
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text("utf-8").splitlines()]
    texts = [row["text"].lower() for row in rows if "nowhere" not in row["audio_filepath"]]
    texts = texts[:-1]  # the one that is too long is left out by the corpus itself
    assert train["characters"] == Counter("".join(texts))
    assert train["outside_alphabet"] == ["<", ">", "à"]

    # what is left out, and why
    names = {name: why for kind in train["left_out"].values() for name, why in kind}
    assert {"strange", "crowded", "long", "nowhere"} <= {Path(name).stem for name in names}
    assert "longer than max_audio_length=30 s" in train["left_out"]
    assert "'à'" in names["strange"]
    assert "need 360 frames" in names["crowded"]
    assert (train["utterances"], told["val"]["utterances"]) == (8, 3)

    # the batches are those of training's own loader
    corpus = ManifestCorpus(manifest="train.jsonl", data_dir=data, limit=8)
    loader = open_loader(
        DataloaderSettings(max_batch_duration=8, num_workers=0),
        corpus.utterances,
        TextEncoder().encode,
        RATE,
        shuffle=True,
        seed=1,
    )
    assert train["batches"] == loader.n_batches(0)
    assert train["padding"] == pytest.approx(loader.padding(0))

    page = (place / "index.html").read_text(encoding="utf-8")
    assert "http://" not in page + result.stdout
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "<script" not in page  # transcripts are text
    assert html.escape("ÀB<script>") not in page
    assert "3 characters stand in transcripts and not in the alphabet" in page


def test_audio_before_and_after(quick_command: Run, data: Path, tmp_path: Path) -> None:
    place = tmp_path / "preview"
    assert quick_command(SCRIPT, *words(data, place)).returncode == 0
    page = (place / "index.html").read_text(encoding="utf-8")
    assert page.count("25 % of the utterances") == 4  # half of one half, for two utterances
    content = embedded(page)
    kinds = Counter(kind for kind, _ in content)
    # three by themselves and SpecAugment, which has no audio of its own, and all together
    originals, speed, gain, noise, together = 2 * 5, 2, 2, 4, 2 * 3
    assert kinds == {"audio": originals + speed + gain + noise + together, "image": 3 + 2 * 5}

    recorded = sorted((place / "audio").glob("*as-recorded.flac"))
    assert len(recorded) == 2
    for path in recorded:
        name = path.name.removesuffix("-as-recorded.flac")
        before, _ = soundfile.read(data / "train" / f"{name}.wav", dtype="float32")
        heard, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        np.testing.assert_allclose(heard, before, atol=1e-4)
        # the only speed that changes anything is half the speed, and it is shown once
        (slow,) = (place / "audio").glob(f"{name}-1-SpeedPerturbation-*.flac")
        assert soundfile.info(slow).frames == 2 * len(before)
        (quiet,) = (place / "audio").glob(f"{name}-2-Gain-*.flac")
        np.testing.assert_allclose(soundfile.read(quiet)[0], before / 10, atol=1e-4)
        assert len(list((place / "audio").glob(f"{name}-3-ColoredNoise-*.flac"))) == 2
    played = [
        soundfile.read(io.BytesIO(body), dtype="int16")[0] for kind, body in content
        if kind == "audio"
    ]  # fmt: skip
    files = [soundfile.read(p, dtype="int16")[0] for p in (place / "audio").glob("*.flac")]
    assert {p.tobytes() for p in played} == {f.tobytes() for f in files}


def test_an_augmentation_that_does_nothing_is_told(
    quick_command: Run, data: Path, tmp_path: Path
) -> None:
    place = tmp_path / "preview"
    idle = (
        "transforms.waveform_transforms=["
        "{_target_: deepspeech2.transforms.Gain, min_gain_db: 0, max_gain_db: 0}]"
    )
    assert quick_command(SCRIPT, *words(data, place, idle)).returncode == 0
    page = (place / "index.html").read_text(encoding="utf-8")
    assert page.count("None of its draws changed anything.") == 2

    # again into the same folder: an earlier preview is replaced, with what it has too many
    before = {path.name for path in (place / "audio").iterdir()}
    fewer = [word.replace("utterances=2", "utterances=1") for word in words(data, place, idle)]
    assert quick_command(SCRIPT, *fewer).returncode == 0
    assert {path.name for path in (place / "audio").iterdir()} < before


def test_what_cannot_be_is_said(quick_command: Run, data: Path, tmp_path: Path) -> None:
    place = tmp_path / "preview"

    def error(*arguments: str) -> str:
        result = quick_command(SCRIPT, *arguments)
        assert result.returncode == 2, result.stdout
        assert "Traceback" not in result.stdout + result.stderr
        assert not place.exists()
        (line,) = [each for each in result.stderr.splitlines() if each.startswith("error: ")]
        return line

    absent = error("-cn=deepspeech2", f"data_dir={tmp_path}/none", f"+preview.save_path={place}")
    assert "train-clean-100 does not exist: set data_dir" in absent
    assert not (tmp_path / "none").exists()  # nothing was downloaded
    none = [word.replace("draws=2", "draws=0") for word in words(data, place)]
    assert "preview.draws must be a whole number of at least 1, but is 0" in error(*none)
    assert "name a config of training" in error("-cn=inference", f"+preview.save_path={place}")
    assert "preview.colour=3 does not exist" in error(*words(data, place, "+preview.colour=3"))
    only_bad = error(*words(data, place, "datasets.train.manifest=bad.jsonl"))
    assert "bad.jsonl" in only_bad
    other = tmp_path / "site"
    other.mkdir()
    (other / "index.html").write_text("<html>mine</html>")
    refused = quick_command(SCRIPT, *words(data, other))
    assert refused.returncode == 2
    assert "site contains other files" in refused.stderr
    assert (other / "index.html").read_text() == "<html>mine</html>"


PROBE = """
const told = arguments[0];
const players = [...document.querySelectorAll("audio")];
const lengths = Promise.all(players.map((player) => new Promise((done) => {
  player.onloadedmetadata = () => done(player.duration);
  player.onerror = () => done(-1);
  player.preload = "metadata";
  player.load();
})));
for (const image of document.images) image.loading = "eager";
const drawn = Promise.all([...document.images].map((image) => image.decode()));
Promise.all([lengths, drawn]).then(([seconds, pictures]) => told({
  seconds, pictures: pictures.length, wide: document.documentElement.scrollWidth > innerWidth,
}));
"""


@pytest.mark.slow
@needs_browser
def test_a_browser_plays_and_shows_it(
    quick_command: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    place = tmp_path / "preview"
    assert quick_command(SCRIPT, *words(data, place)).returncode == 0
    page = place / "index.html"
    with chromium("--window-size=500,900") as browser:
        browser.get(page.as_uri())
        found = browser.execute_async_script(PROBE)
        assert complaints(browser) == []
    audio = [body for kind, body in embedded(page.read_text("utf-8")) if kind == "audio"]
    expected = [soundfile.info(io.BytesIO(body)).duration for body in audio]
    assert found["seconds"] == pytest.approx(expected, abs=0.01)
    assert found["pictures"] == 13
    assert not found["wide"]
