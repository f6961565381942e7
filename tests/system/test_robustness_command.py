"""scripts/robustness.py on the toy corpus, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.commands.train import train
from tests.system.conftest import Run
from tests.toy import RATE, config, overrides

SCRIPT = "scripts/robustness.py"


@pytest.fixture(scope="session")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """White and tonal noise, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("noise")
    for kind in ("hiss", "hum"):
        (folder / kind).mkdir()
        for number in range(9):
            draw = np.random.default_rng([number, len(kind)])
            tone = np.sin(np.arange(RATE) * draw.uniform(0.05, 0.5))
            samples = draw.standard_normal(RATE) if kind == "hiss" else tone
            soundfile.write(folder / kind / f"{number}.wav", 0.1 * samples, RATE)
    return folder


@pytest.fixture(scope="session")
def robust_run(toy_run: Path, noise: Path) -> Path:
    """The folder of a run with rooms and noise."""
    changes = overrides(
        toy_run.parent / "data", toy_run.parent, "transforms=robust", f"+noise_dir={noise}",
        "model.dropout=0", "trainer.n_epochs=2", "writer.run_name=robust",
    )  # fmt: skip
    assert train(config("an4", *changes)) == 0
    return toy_run.parent / "robust"


def words(run: Path, noise: Path, place: Path, *more: str) -> list[str]:
    return [
        f"noise_dir={noise}",
        "datasets=manifest",
        "~datasets.train",
        f"data_dir={run.parent / 'data'}",
        "dataloader.num_workers=0",
        "robustness.device=cpu",
        f"robustness.save_path={place}",
        *more,
    ]


def numbers(place: Path) -> dict:
    return json.loads((place / "robustness.json").read_text(encoding="utf-8"))


def test_two_checkpoints(
    quick_command: Run, toy_run: Path, robust_run: Path, noise: Path, tmp_path: Path
) -> None:
    plain = f"plain: {toy_run}/model_best.pth"
    both = f"checkpoints={{{plain}, robust: {robust_run}/model_best.pth}}"
    place = tmp_path / "results"
    levels = "robustness.snrs=[clean, 5, -25]"  # tones are heard through a lot of noise
    result = quick_command(SCRIPT, *words(toy_run, noise, place, both, levels))
    assert result.returncode == 0, result.stderr
    found = numbers(place)
    assert found["levels"] == ["clean", "5 dB", "-25 dB"]
    assert list(found["wer"]) == ["plain", "robust"]
    wer = found["wer"]["plain"]
    assert wer["-25 dB"]["value"] > wer["clean"]["value"]
    assert set(found["by_noise"]) <= {"hiss", "hum"}
    assert len(found["utterances"]) == 8
    assert "Points of WER more than plain" in result.stdout
    table = (place / "robustness.md").read_text(encoding="utf-8")
    assert f"{100 * wer['5 dB']['value']:.1f} (" in table
    assert (place / "robustness.png").stat().st_size > 10_000

    again = tmp_path / "again"
    one_by_one = ("dataloader.max_batch_size=1", "robustness.snrs=[5]")
    single = words(toy_run, noise, again, f"checkpoints={{{plain}}}", *one_by_one)
    assert quick_command(SCRIPT, *single).returncode == 0
    alone = {each["id"]: each for each in numbers(again)["utterances"]}
    for each in found["utterances"]:  # whatever the batches, and whatever else was measured
        assert each["noise"] == alone[each["id"]]["noise"]
        assert each["errors"]["plain"][1:2] == alone[each["id"]]["errors"]["plain"]
    refused = quick_command(SCRIPT, *single)
    assert refused.returncode == 2
    assert "move them aside with robustness.override=true" in refused.stderr
    assert quick_command(SCRIPT, *single, "robustness.override=true").returncode == 0
    assert (tmp_path / "again.old-1" / "robustness.json").is_file()


def test_bad_input(quick_command: Run, toy_run: Path, noise: Path, tmp_path: Path) -> None:
    good = f"checkpoints={{a: {toy_run}/model_best.pth}}"

    def error(*more: str) -> str:
        result = quick_command(SCRIPT, *words(toy_run, noise, tmp_path / "new", *more))
        assert result.returncode == 2
        assert "Traceback" not in result.stdout + result.stderr
        assert not (tmp_path / "new").exists()
        (line,) = [each for each in result.stderr.splitlines() if each.startswith("error: ")]
        return line

    example = "'checkpoints={clean: a.pth, noisy: b.pth}'"
    assert f"{example}, but is 'a.pth'" in error("checkpoints=a.pth")
    assert f"{example}, but is None" in error()
    assert "checkpoints.a must be the path of a file, but is 3" in error("checkpoints={a: 3}")
    assert "nowhere.pth does not exist" in error(f"checkpoints={{a: {tmp_path}/nowhere.pth}}")
    assert "is missing" in error(good, f"noise_dir={tmp_path}/nowhere")
    assert "noise_dir has no value: give one as noise_dir=VALUE" in error(good, "noise_dir=???")
    assert "robustness.snrs must be a list" in error(good, "robustness.snrs=loud")
    assert "did you mean 'robustness.snrs'" in error(good, "robustness.snr=5")
    assert "contains other files" in error(good, f"robustness.save_path={noise}")
