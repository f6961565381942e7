"""A corpus that a small network learns in seconds: each character is a tone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from deepspeech2.config.command_line import VERSION

ROOT = Path(__file__).resolve().parents[1]
RATE = 16000
WORDS = ["ab", "ba", "cab", "abc", "bc", "ca"]


def speak(text: str, seed: int) -> np.ndarray:
    """(S,) float32: 120 ms a character, tones an octave apart in steps, silence for a space."""
    draw = np.random.default_rng(seed)
    pieces = [np.zeros(800)]
    for character in text:
        time = np.arange(int(RATE * draw.uniform(0.10, 0.14))) / RATE
        frequency = 0 if character == " " else 300 * 1.6 ** (ord(character) - ord("a"))
        pieces.append(0.3 * np.sin(2 * np.pi * frequency * time))
    wave = np.concatenate([*pieces, np.zeros(800)])
    return (wave + 0.003 * draw.standard_normal(len(wave))).astype(np.float32)


def write_corpus(folder: Path, parts: dict[str, int]) -> Path:
    """Write ``<part>.jsonl`` with as many utterances as asked for; returns ``folder``."""
    for part, number in parts.items():
        (folder / part).mkdir(parents=True)
        rows = []
        for index in range(number):
            draw = np.random.default_rng([index, len(part)])
            text = " ".join(draw.choice(WORDS, size=draw.integers(1, 4)))
            wave = speak(text, index)
            name = f"{part}/{part}-{index:03d}.wav"
            soundfile.write(folder / name, wave, RATE)
            rows.append(
                {"audio_filepath": name, "duration": len(wave) / RATE, "text": text.upper()}
            )
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def overrides(data: Path, save_dir: Path, *more: str) -> list[str]:
    """What turns -cn=an4 into seconds of training on the toy corpus."""
    return [
        f"data_dir={data}",
        f"trainer.save_dir={save_dir}",
        "writer=none",
        "writer.run_name=toy",
        "datasets=manifest",
        "model=tiny",
        "model.rnn_size=48",
        "model.rnn_layers=1",
        "optimizer=adamw",
        "dataloader.max_batch_duration=8",
        "decoder=greedy",
        "trainer.threads=1",
        "trainer.device=cpu",
        "trainer.log_step=4",
        "lr_scheduler.max_lr=1e-2",
        *more,
    ]


def config(name: str, *changes: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "configs"), **VERSION):
        return compose(name, overrides=list(changes))


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
