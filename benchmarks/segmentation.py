"""What ``segment`` keeps of talks whose words are known, how much of it is wrong, where it cuts.

Talks are joined of utterances with pauses of 0 to 2 s. Of their texts a tenth of the sentences is
dropped, a tenth is foreign, and 5 % of the words are changed. With ``--subtitles`` the same texts
come with rough times, too: off by SHIFT seconds, and each cue by up to a second more.

python -m benchmarks.segmentation --data DATA --checkpoint MODEL [--snr 25 20 15]
    [--manifest common-voice/train.jsonl] [--subtitles SHIFT]
python -m benchmarks.segmentation --sentences FILE --voice es --transliterate --checkpoint MODEL
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from benchmarks.report import report
from benchmarks.talks import RATE, Talk, talk, utterances
from deepspeech2.audio.silence import Levels
from deepspeech2.audio.synthesis import Synthesizer, Voice
from deepspeech2.datasets import ManifestCorpus
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.decoding.decoder import text_of
from deepspeech2.extras.segmentation.corpus import Division, divide
from deepspeech2.extras.segmentation.cutting import TRANSLITERATED_CER, Limits
from deepspeech2.extras.segmentation.text import Script, Times, script
from deepspeech2.inference import Recognizer
from deepspeech2.inference.audio_input import AudioInput
from deepspeech2.metrics.edits import character_edits
from deepspeech2.text.normalization import Normalizer

AWAY = 0.5  # seconds from its utterance at which a word is wrong
NEAR = 0.1  # seconds from the right place at which a cut is right
CUE = 12  # words of a cue
VARIANTS = ("m1", "f2", "m3", "f4", "m5")
Alone = Callable[[Path, str], list[tuple[float, float]]]


def cues(made: Talk, shift: float, seed: int) -> Times:
    """(W, 2) seconds at which each word of the text is shown; what is not said, for 4 s where it
    stands."""
    draw = np.random.default_rng([seed, 2])
    shown: list[tuple[float, float]] = []
    reached = 0.0
    for number, group in groupby(made.written, lambda word: word.said and word.said[0]):
        count = len(list(group))
        start, end = reached, reached + 4.0
        if number is not None:
            start, end = (sample / RATE for sample in made.utterances[number][2:])
        for first in range(0, count, CUE):
            last = min(first + CUE, count)
            begins, ends = (start + (end - start) * place / count for place in (first, last))
            begins, ends = (max(0.0, each + shift + draw.uniform(-1, 1)) for each in (begins, ends))
            shown += [(begins, max(begins, ends))] * (last - first)
        reached = end
    return np.array(shown)


def measured(made: Talk, found: Division, seconds_per_frame: float, alone: Alone) -> dict[str, int]:
    """Counts: words of the text that are right, kept, kept and wrong; cuts, and those near."""
    # where each word that is said ends and begins, by the utterance alone
    spans, numbers = [], {}
    for number, (path, text, first, _) in enumerate(made.utterances):
        for place, (start, end) in enumerate(alone(path, text)):
            numbers[number, place] = len(spans)
            spans.append((first / RATE + start, first / RATE + end))
    counts = dict.fromkeys(("right", "kept", "wrong", "cuts", "near"), 0)
    counts["right"] = sum(each.right for each in made.written)
    for part, _ in found.parts:
        if part.why:
            continue
        counts["kept"] += part.last - part.first
        for place in range(part.first, part.last):
            word = made.written[place]
            start = found.alignment.start[place] * seconds_per_frame
            if word.said is not None and word.right:
                first, last = (sample / RATE for sample in made.utterances[word.said[0]][2:])
                counts["wrong"] += not first - AWAY <= start <= last + AWAY
            else:
                counts["wrong"] += 1
        left, right = made.written[part.first], made.written[part.last - 1]
        if left.right and right.right and left.said and right.said:
            before, behind = numbers[left.said], numbers[right.said]
            bounds = [
                (spans[before - 1][1] if before else 0.0, spans[before][0], part.start),
                (spans[behind][1], (spans[behind + 1 :] or [(np.inf,)])[0][0], part.end),
            ]
            for low, high, frame in bounds:
                cut = frame * seconds_per_frame
                counts["cuts"] += 1
                counts["near"] += max(low - cut, cut - high, 0.0) <= NEAR
    return counts


class Bench:
    """Measures talks of some utterances with one model."""

    def __init__(
        self,
        recognizer: Recognizer,
        said: list[tuple[Path, str]],
        count: int,
        transliterate: bool = False,
    ) -> None:
        self.recognizer, self.said, self.count = recognizer, said, count
        self.transliterate = transliterate
        self.times: dict[Path, list[tuple[float, float]]] = {}

    def alone(self, path: Path, text: str) -> list[tuple[float, float]]:
        """Start and end of each word of an utterance by itself, seconds."""
        if path not in self.times:
            aligned = " ".join(self.script(text).words)
            words = self.recognizer.align(path, aligned, delay=0.0).words
            self.times[path] = [(word.start, word.end) for word in words]
        return self.times[path]

    def talk(self, seed: int, **kind: Any) -> Talk:
        first = int(np.random.default_rng(seed).integers(len(self.said) - self.count))
        end = first + self.count
        others = [text for _, text in self.said[:first] + self.said[end:]]
        return talk(self.said[first:end], others, seed=seed, **kind)

    def emissions(self, made: Talk) -> tuple[torch.Tensor, Levels]:
        source = AudioInput(made.samples, RATE, self.recognizer.sample_rate)
        return self.recognizer.long_emissions(source.blocks)

    def script(self, text: str, shown: Times | None = None) -> Script:
        encoder = self.recognizer.text_encoder
        return script(text, encoder, transliterate=self.transliterate, shown=shown)

    def script_of(self, made: Talk, shown: Times | None = None) -> Script:
        found = self.script(made.text, shown)
        if len(found.words) != len(made.written):
            raise SystemExit("a word of the text is none of the alphabet, or becomes several")
        return found

    def cer(self, made: Talk, log_probs: torch.Tensor) -> float:
        encoder = self.recognizer.text_encoder
        labels = [label for label, _ in groupby(log_probs.argmax(dim=1).tolist()) if label]
        said = " ".join(text for _, text, _, _ in made.utterances)
        return character_edits(" ".join(self.script(said).words), text_of(labels, encoder)).rate


def figures(counts: dict[str, int]) -> dict[str, float]:
    """Shares in per cent."""
    return {
        "right_words_kept": 100 * (counts["kept"] - counts["wrong"]) / max(1, counts["right"]),
        "wrong_among_kept": 100 * counts["wrong"] / max(1, counts["kept"]),
        "cuts_within_0.1_s": 100 * counts["near"] / max(1, counts["cuts"]),
    }


def spoken(sentences: Path, voice: str, folder: Path) -> list[tuple[Path, str]]:
    """Sentences by eSpeak NG in several voices, written to ``folder``."""
    synthesizer, normalize = Synthesizer(), Normalizer()
    found = []
    for number, line in enumerate(sentences.read_text("utf-8").splitlines()):
        variant, rate = VARIANTS[number % len(VARIANTS)], 130 + 10 * (number % 5)
        samples, hz = synthesizer.speak(line, Voice(voice, variant, rate=rate))
        path = folder / f"{number}.wav"
        soundfile.write(path, samples, hz)
        found.append((path, normalize(line)))
    return found


def measure(bench: Bench, options: argparse.Namespace) -> None:
    """Measure all kinds of talks, and print the figures."""
    recognizer = bench.recognizer
    limits = Limits(cer=TRANSLITERATED_CER) if options.transliterate else Limits()
    planted = {"dropped": 0.1, "added": 0.1, "changed": 0.05}
    kinds: dict[str, dict[str, Any]] = {"its whole text": {}, "clean": planted}
    kinds |= {f"{snr:g} dB": {**planted, "snr_db": snr} for snr in options.snr}
    rows = {}
    heard: dict[tuple[int, float | None], tuple[torch.Tensor, Levels]] = {}
    for kind, given in kinds.items():
        found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        rates, seconds = [], 0.0
        for seed in options.seeds:
            made = bench.talk(seed, **given)
            seconds += len(made.samples) / RATE
            key = seed, given.get("snr_db")
            if key not in heard:  # the same sound with another text
                heard[key] = bench.emissions(made)
            emissions = heard[key]
            rates.append(bench.cer(made, emissions[0]))
            scripts = {kind: bench.script_of(made)}
            if options.subtitles is not None:
                shown = cues(made, options.subtitles, seed)
                scripts[f"{kind}, subtitles"] = bench.script_of(made, shown)
            for name, words in scripts.items():
                division = divide(*emissions, words, recognizer, limits)
                own = measured(made, division, recognizer.seconds_per_frame, bench.alone)
                for key, count in own.items():
                    found[name][key] += count
        for name, counts in found.items():
            row = {"minutes": seconds / 60, "cer": 100 * float(np.mean(rates)), **figures(counts)}
            rows[name] = {key: round(value, 2) for key, value in row.items()}
            print(f"{name}: {rows[name]}", flush=True)
    print(
        report(
            "segmentation",
            ours=rows["clean"]["right_words_kept"],
            theirs=rows["its whole text"]["right_words_kept"],
            unit="% of the right words kept",
            against="the same talks with their whole text",
            rows=rows,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with LibriSpeech/PART")
    parser.add_argument("--part", default="train-clean-8h", help="(default: %(default)s)")
    parser.add_argument("--manifest", type=Path, help="below DATA, in place of a part")
    parser.add_argument("--sentences", type=Path, help="one a line, which eSpeak NG speaks instead")
    parser.add_argument("--voice", default="en-us", help="of eSpeak NG (default: %(default)s)")
    parser.add_argument("--transliterate", action="store_true", help="align other letters")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14, 15, 16])
    parser.add_argument("--utterances", type=int, default=40, help="of a talk (%(default)s)")
    parser.add_argument("--snr", type=float, nargs="*", default=[], help="dB of white noise")
    parser.add_argument("--subtitles", type=float, metavar="SHIFT", help="seconds")
    options = parser.parse_args()
    recognizer = Recognizer.from_checkpoint(options.checkpoint, device="cpu", decoder=GreedyDecoder)
    with tempfile.TemporaryDirectory() as folder:
        if options.sentences:
            said = spoken(options.sentences, options.voice, Path(folder))
        elif options.manifest:
            encoder = recognizer.text_encoder
            corpus = ManifestCorpus(options.data / options.manifest).utterances
            said = [(Path(each.audio), encoder.normalize(each.text or "")) for each in corpus]
            said = [(path, text) for path, text in said if not encoder.unknown(text)]
        else:
            said = utterances(options.data / "LibriSpeech" / options.part)
        measure(Bench(recognizer, said, options.utterances, options.transliterate), options)


if __name__ == "__main__":
    main()
