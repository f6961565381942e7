"""One model in its formats: torch, ONNX and ONNX with 8-bit weights, on the same files.

python -m benchmarks.formats --data DATA --part test-clean-35m --checkpoint MODEL
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.inference import in_batches, wer
from benchmarks.report import report
from deepspeech2.audio.reading import read_audio
from deepspeech2.datasets import LibriSpeechCorpus
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.extras.interchange.exporting import export
from deepspeech2.inference import Recognizer
from deepspeech2.types import Padded

FORMATS = {"torch": ".pth", "safetensors": ".safetensors", "onnx": ".onnx", "onnx int8": ".onnx"}


def hear(
    recognizer: Recognizer, waveforms: list[torch.Tensor], batches: list[list[int]]
) -> tuple[list[str], float]:
    """Greedy texts of all waveforms, and the seconds that took."""
    decoder, texts = GreedyDecoder(recognizer.text_encoder), [""] * len(waveforms)
    start = time.perf_counter()
    with torch.inference_mode():
        for batch in batches:
            padded = Padded.stack([waveforms[place] for place in batch])
            heard = decoder(recognizer.pipeline.emissions(padded))
            for place, nbest in zip(batch, heard, strict=True):
                texts[place] = nbest[0].text
    return texts, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with LibriSpeech/PART")
    parser.add_argument("--part", default="test-clean-35m", help="(default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=2, help="the best counts (%(default)s)")
    options = parser.parse_args()
    folder = (options.data / "LibriSpeech").resolve()
    corpus = list(LibriSpeechCorpus(options.part, folder, download=False))
    waveforms = [read_audio(each.audio) for each in corpus]
    references = [each.text or "" for each in corpus]
    with tempfile.TemporaryDirectory() as temporary:
        models, sizes = {}, {}
        for name, suffix in FORMATS.items():
            path = Path(temporary) / f"{name.replace(' ', '-')}{suffix}"
            export(options.checkpoint, path, int8=name.endswith("int8"))
            sizes[name] = round(path.stat().st_size / 1e6, 2)
            models[name] = Recognizer.from_checkpoint(path, device="cpu", decoder=GreedyDecoder)
    rate = models["torch"].sample_rate
    seconds = sum(map(len, waveforms)) / rate
    ways = {"alone": [[place] for place in range(len(corpus))]}
    ways["batched"] = in_batches(waveforms, rate)
    for model in models.values():
        hear(model, waveforms, ways["batched"][:1])  # compiles, once
    texts: dict[tuple[str, str], list[str]] = {}
    took: dict[tuple[str, str], float] = {}
    turns = [(way, name) for _ in range(options.rounds) for way in ways for name in models]
    for way, name in tqdm(turns, desc="formats"):
        texts[way, name], once = hear(models[name], waveforms, ways[way])
        took[way, name] = min(once, took.get((way, name), once))
    encoder = models["torch"].text_encoder
    rows: dict[str, dict[str, float]] = {}
    for name in models:
        heard = texts["batched", name]
        like_torch = zip(heard, texts["batched", "torch"], strict=True)
        rows[name] = {
            "MB": sizes[name],
            **{f"x real time, {way}": round(seconds / took[way, name], 1) for way in ways},
            "WER in %": wer(encoder, references, heard),
            "texts that differ from torch's": sum(a != b for a, b in like_torch),
            "texts that differ alone and batched": sum(
                a != b for a, b in zip(heard, texts["alone", name], strict=True)
            ),
        }
    print(
        report(
            "formats",
            ours=rows["torch"]["x real time, batched"],
            theirs=rows["onnx"]["x real time, batched"],
            unit="x real time",
            packages=("torch", "onnxruntime", "safetensors"),
            against="the same network in ONNX Runtime, float32",
            utterances=len(corpus),
            audio_seconds=round(seconds, 1),
            all=rows,
        )
    )


if __name__ == "__main__":
    main()
