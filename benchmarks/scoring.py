"""Seconds that it takes to score predictions: ``calc_wer_cer.py``, and jiwer on the same files.

Made-up predictions, of which every third word is wrong, each with its words, times and
confidences, as ``inference.py`` writes them. Ours prints corpus rates with their intervals of
10,000 bootstrap samples, mean rates, slices and remarks; theirs is the plainest code with the usual
package: ``json.loads`` and ``jiwer.wer`` and ``jiwer.cer`` over all files. Each is a process of its
own, and both must find the same rates.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path

from deepspeech2.paths import ROOT

WORDS, TYPES, WRONG = (4, 36), 9000, 1 / 3
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def make(folder: Path, number: int, *, lines: bool, seed: int = 1) -> Path:
    """Write ``number`` predictions below ``folder``: a file each, or the lines of one."""
    draw = random.Random(seed)
    letters = [1 / (place + 2) for place in range(len(LETTERS))]
    words = ["".join(draw.choices(LETTERS, letters, k=draw.randint(1, 10))) for _ in range(TYPES)]
    common = list(accumulate(1 / (place + 3) for place in range(TYPES)))
    predictions = []
    for place in range(number):
        reference = draw.choices(words, cum_weights=common, k=draw.randint(*WORDS))
        heard = [damaged(word, draw) if draw.random() < WRONG else word for word in reference]
        heard = [word for word in heard if word]
        content = {
            "pred_text": " ".join(heard),
            "text": " ".join(reference),
            "id": f"{place % 73}-{place % 97}-{place:06d}",
            "duration": round(0.4 * len(reference), 2),
            "speaker": str(place % 73),
            "words": [
                {
                    "word": word,
                    "start": round(0.4 * start, 2),
                    "end": round(0.4 * start + 0.3, 2),
                    "confidence": round(draw.random(), 4),
                }
                for start, word in enumerate(heard)
            ],
        }
        predictions.append(content)
    if lines:
        path = folder / "predictions.jsonl"
        path.write_text("".join(f"{json.dumps(each)}\n" for each in predictions), encoding="utf-8")
        return path
    path = folder / "predictions"
    path.mkdir()
    for content in predictions:
        (path / f"{content['id']}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def damaged(word: str, draw: random.Random) -> str:
    """Nothing in one case of ten; otherwise a letter is another, is missing or is doubled."""
    place = draw.randrange(len(word))
    letter = draw.choice(("", word[place] * 2, draw.choice(LETTERS)))
    return "" if draw.random() < 0.1 else word[:place] + letter + word[place + 1 :]


def plain(path: Path) -> dict[str, float]:
    """Both rates with jiwer."""
    import jiwer

    if path.is_dir():
        found = [json.loads(each.read_text(encoding="utf-8")) for each in sorted(path.iterdir())]
    else:
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    references, heard = [each["text"] for each in found], [each["pred_text"] for each in found]
    return {"wer": jiwer.wer(references, heard), "cer": jiwer.cer(references, heard)}


def took(*arguments: str) -> tuple[dict[str, float], str]:
    """Seconds by the clock and of the processor of ``python ARGUMENTS``, and what it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    clock = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"clock": round(clock, 2), "processor": round(worked, 2)}, done.stdout


def compared(path: Path, rounds: int) -> dict[str, dict[str, float]]:
    """The better of some rounds of each, in turns.

    Raises:
        RuntimeError: the two do not find the same rates.
    """
    programs = {
        "ours": ("calc_wer_cer.py", "--dir_path", str(path), "--json"),
        "jiwer": ("-m", "benchmarks.scoring", "--plain", str(path)),
    }
    best: dict[str, dict[str, float]] = {}
    printed: dict[str, str] = {}
    for _ in range(rounds):
        for name, arguments in programs.items():
            seconds, printed[name] = took(*arguments)
            best[name] = min(best.get(name, seconds), seconds, key=lambda each: each["processor"])
    ours, theirs = json.loads(printed["ours"]), json.loads(printed["jiwer"])
    for kind, rate in theirs.items():
        if abs(ours[kind] - rate) > 1e-9:
            raise RuntimeError(f"{kind}: {ours[kind]} of ours, {rate} of jiwer")
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=2, help="the best counts (%(default)s)")
    options = parser.parse_args()
    if options.plain:
        print(json.dumps(plain(options.plain)))
        return
    from benchmarks.report import report

    kinds = {
        "2,620 files": (2620, False),
        "100,000 lines": (100_000, True),
        "100,000 files": (100_000, False),
    }
    rows: dict[str, dict[str, float]] = {}
    for kind, (number, lines) in kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            found = compared(make(Path(folder), number, lines=lines), options.rounds)
        rows[kind] = {
            f"{name}, s of the {measure}": seconds
            for name, both in found.items()
            for measure, seconds in both.items()
        }
        print(f"{kind}: {found}", flush=True)
    last = next(iter(rows.values()))
    print(
        report(
            "scoring",
            ours=last["ours, s of the processor"],
            theirs=last["jiwer, s of the processor"],
            unit="s of the processor",
            packages=("jiwer", "numpy"),
            higher_is_better=False,
            against="json.loads, jiwer.wer and jiwer.cer, without intervals",
            all=rows,
        )
    )


if __name__ == "__main__":
    main()
