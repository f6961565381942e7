"""Noise that belongs to an utterance, and what is made of the errors in it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.robustness.measure import (
    Candidate,
    FixedNoise,
    Measured,
    NoiseResult,
    measure,
)
from deepspeech2.extras.robustness.report import claim, report, tables, write
from deepspeech2.metrics import CorpusScore
from deepspeech2.settings import RobustnessSettings
from deepspeech2.text import TextEncoder
from deepspeech2.transforms.noise_folder import Clips
from deepspeech2.types import Batch, Hypothesis, Padded, Utterance


def clips_of(*samples: Tensor) -> Clips:
    lengths = torch.tensor([len(each) for each in samples])
    names = tuple(f"kind{index % 2}/{index}.wav" for index in range(len(samples)))
    return Clips(torch.cat(samples), lengths.cumsum(0) - lengths, lengths, names)


def noise_of(number: int, length: int = 5000) -> Clips:
    random = torch.Generator().manual_seed(number)
    return clips_of(*(torch.randn(length, generator=random) for _ in range(number)))


def speech(seed: int, length: int = 3000) -> Tensor:
    return 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(seed))


def test_noise_belongs_to_the_utterance() -> None:
    fixed = FixedNoise(noise_of(10), seed=1)
    first, name = fixed("a", speech(1))
    again, same = FixedNoise(noise_of(10), seed=1)("a", speech(1))
    assert name == same
    assert torch.equal(first, again)
    names = {fixed(str(index), speech(1))[1] for index in range(100)}
    assert len(names) == 10
    other = [FixedNoise(noise_of(10), seed=2)(str(index), speech(1))[1] for index in range(20)]
    assert other != [fixed(str(index), speech(1))[1] for index in range(20)]


def test_noise_has_the_power_of_the_speech_and_comes_from_its_clip() -> None:
    clips = noise_of(4, length=900)
    fixed = FixedNoise(clips, seed=1)
    for index in range(20):
        wave = speech(index, length=2000)
        noise, name = fixed(str(index), wave)
        assert float(noise.square().mean()) == pytest.approx(float(wave.square().mean()), rel=1e-5)
        clip = clips[clips.names.index(name)]
        scale = float(noise.square().sum() / noise[:900].square().sum())
        assert scale == pytest.approx(2000 / 900, rel=0.2)
        place = int((clip.repeat(2).unfold(0, 900, 1) @ noise[:900]).argmax())
        around = clip[(place + torch.arange(2000)) % 900]
        ratio = noise / around
        torch.testing.assert_close(ratio, ratio[:1].expand(2000), atol=1e-4, rtol=1e-3)


def test_pauses_of_the_noise_are_not_raised_to_its_level() -> None:
    # A bark of a tenth of a second in five seconds of hiss, as in real collections.
    bark = 1e-5 * torch.ones(80_000)
    bark[10_000:11_600] = 0.5
    fixed = FixedNoise(clips_of(bark), seed=1)
    for index in range(20):
        noise, _ = fixed(str(index), speech(index, length=16_000))
        assert float(noise.max() / noise.abs().min()) > 1000


def test_silent_speech_gets_no_noise() -> None:
    noise, _ = FixedNoise(noise_of(2), seed=1)("a", torch.zeros(100))
    assert not noise.any()


def candidate(batches: list[Batch], seen: list[Padded]) -> Candidate:
    """One whose network keeps what it hears, and always understands "a b"."""

    def emissions(waveforms: Padded) -> Padded:
        seen.append(waveforms)
        return waveforms

    def decoder(log_probs: Padded) -> list[list[Hypothesis]]:
        return [[Hypothesis("a b", 0.0)] for _ in range(len(log_probs))]

    decoder.name = "Stub"  # type: ignore[attr-defined]
    recognizer: Any = SimpleNamespace(
        device=torch.device("cpu"),
        text_encoder=TextEncoder(),
        pipeline=SimpleNamespace(emissions=emissions, device=torch.device("cpu")),
        decoder=decoder,
    )
    durations = torch.tensor([each.duration for batch in batches for each in batch.utterances])
    loader: Any = SimpleNamespace(
        pass_once=lambda: (batch for batch in batches), sampler=SimpleNamespace(durations=durations)
    )
    return Candidate(recognizer, loader, FixedNoise(noise_of(5), seed=1))


def batch_of(*names: str) -> Batch:
    waves = [speech(len(name), 1000 * len(name)) for name in names]
    utterances = tuple(
        Utterance(name, Path("a.wav"), len(wave) / 16000, text="A C")
        for name, wave in zip(names, waves, strict=True)
    )
    return Batch(Padded.stack(waves), Padded.stack([torch.zeros(0)] * len(names)), utterances)


def test_levels_are_those_asked_for_whatever_the_batch() -> None:
    together: list[Padded] = []
    alone: list[Padded] = []
    snrs = [None, 20.0, 0.0, -5.0]
    found = measure({"x": candidate([batch_of("u", "long")], together)}, snrs, progress=False)["x"]
    measure({"x": candidate([batch_of("long"), batch_of("u")], alone)}, snrs, progress=False)
    clean = together[0].data
    assert torch.equal(clean, batch_of("u", "long").waveforms.data)
    for snr, mixed in zip(snrs[1:], together[1:], strict=True):
        assert not mixed.data[~mixed.mask()].any()
        ratio = clean.square().sum(1) / (mixed.data - clean).square().sum(1)
        assert (10 * ratio.log10()).tolist() == pytest.approx([snr, snr], abs=1e-3)
    for index in range(4):
        assert torch.equal(together[index].data[1], alone[index].data[0])
        assert torch.equal(together[index].data[0, :1000], alone[4 + index].data[0])
    # The same noise at each level.
    loud, soft = (together[index].data - clean for index in (2, 1))
    torch.testing.assert_close(loud, 10 * soft, atol=1e-5, rtol=1e-4)
    assert [(each.id, each.words, each.errors) for each in found.results] == [
        ("u", 2, (1, 1, 1, 1)),
        ("long", 2, (1, 1, 1, 1)),
    ]
    assert found.decoder == "Stub"


def heard(name: str, *errors: int, words: int = 10, noise: str = "rain/1.wav") -> NoiseResult:
    return NoiseResult(name, words, noise, errors)


MEASURED = {
    "clean": Measured(
        "Argmax",
        [heard("u1", 1, 5), heard("u2", 0, 9, words=20, noise="dog/1.wav"), heard("u3", 2, 4)],
    ),
    "noisy": Measured(
        "Argmax",
        [heard("u1", 2, 3), heard("u2", 1, 6, words=20, noise="dog/1.wav"), heard("u3", 3, 2)],
    ),
}


def test_rates_are_those_of_the_corpus() -> None:
    found = report(MEASURED, [None, 5.0], class_snr=5.0, seed=1)
    score = CorpusScore.from_pairs(
        [(" ".join("a" * 10), " ".join("a" * 5)), (" ".join("a" * 20), " ".join("a" * 11)),
         (" ".join("a" * 10), " ".join("a" * 6))]
    )  # fmt: skip
    assert found.rates["clean"][1].value == pytest.approx(score.wer)
    for rates in found.rates.values():
        assert all(rate.low <= rate.value <= rate.high for rate in rates)
    assert list(found.differences) == ["noisy"]
    gained, lost = found.differences["noisy"][1], found.differences["noisy"][0]
    assert gained.value == pytest.approx(-7 / 40)
    # In every draw: the noisy one is better in each utterance at 5 dB, and worse without noise.
    assert gained.high < 0 < lost.low
    assert found.class_sizes == {"dog": 1, "rain": 2}
    assert [rate.value for rate in found.classes["rain"]["noisy"]] == pytest.approx([0.25, 0.25])
    text = tables(found)
    assert "| 5 dB  | 45.0 " in text
    assert "-17.5 (" in text
    assert "| dog   |          1 |" in text


def test_no_classes_without_folders_or_without_a_level() -> None:
    flat = {"a": Measured("Argmax", [heard("u", 1, noise="1.wav"), heard("v", 1, noise="2.wav")])}
    assert not report(flat, [5.0], class_snr=5.0, seed=1).classes
    assert not report(MEASURED, [None, 5.0], class_snr=None, seed=1).classes
    single = report({"a": Measured("Argmax", [heard("u", 1)])}, [5.0], class_snr=5.0, seed=1)
    assert "| 5 dB | 10.0 |" in tables(single)  # one utterance has no interval
    with pytest.raises(ManifestError, match="no utterance that could be read"):
        report({"a": Measured("Argmax")}, [5.0], class_snr=None, seed=1)


def test_files_and_what_lies_there_already(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    found = report(MEASURED, [None, 5.0], class_snr=5.0, seed=1)
    claim(folder, override=False)
    write(found, folder, "Three utterances.", {"seed": 1})
    assert {path.name for path in folder.iterdir()} == {
        "robustness.json", "robustness.md", "robustness.png",
    }  # fmt: skip
    numbers = json.loads((folder / "robustness.json").read_text())
    assert numbers["levels"] == ["clean", "5 dB"]
    assert numbers["wer"]["noisy"]["5 dB"]["value"] == pytest.approx(11 / 40)
    assert numbers["difference"]["noisy"]["5 dB"]["value"] == pytest.approx(-7 / 40)
    assert numbers["by_noise"]["dog"]["clean"]["value"] == pytest.approx(9 / 20)
    assert numbers["utterances"][0]["errors"] == {"clean": [1, 5], "noisy": [2, 3]}
    assert "Three utterances." in (folder / "robustness.md").read_text()
    with pytest.raises(ConfigError, match=r"contains results already: .*robustness.override=true"):
        claim(folder, override=False)
    claim(folder, override=True)
    write(found, folder, "Again.", {})
    assert (tmp_path / "results.old-1" / "robustness.json").is_file()
    perfect = {"a": Measured("Argmax", [heard("u", 0), heard("v", 0)])}
    write(report(perfect, [None], class_snr=None, seed=1), tmp_path / "perfect", "", {})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("kept")
    with pytest.raises(ConfigError, match="contains other files: choose another folder"):
        claim(tmp_path / "other", override=True)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("snrs", [], r"robustness.snrs must be a list of dB and 'clean', but is \[\]"),
        ("snrs", 5, "robustness.snrs must be a list"),
        ("snrs", ["loud"], r"but is \['loud'\]"),
        ("snrs", [5, 5.0], "must contain each level once"),
        ("snrs", [math.nan], r"but is \[nan\]"),
        ("class_snr", 7, "robustness.class_snr must be one of robustness.snrs, or null, but is 7"),
        ("part", "dev", "robustness.part must be one of all, train, test, but is 'dev'"),
        ("seed", 1.5, "robustness.seed must be a whole number, but is 1.5"),
        ("threads", 0, "robustness.threads must be a whole number of at least 1 or null, but is 0"),
        ("override", "yes", "robustness.override must be true or false, but is 'yes'"),
        ("save_path", None, "robustness.save_path must be a text, but is None"),
    ],
)
def test_wrong_settings(key: str, value: object, message: str) -> None:
    options: dict[str, Any] = {"save_path": "a", "snrs": ["clean", 5], "class_snr": 5, key: value}
    if key == "snrs":
        options["class_snr"] = None
    with pytest.raises(ConfigError, match=message):
        RobustnessSettings(**options)
