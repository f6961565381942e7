"""Tell when each word is said: python scripts/align.py AUDIO --text TEXT [--json]"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.errors import run_command
from src.inference import Recognizer
from src.paths import typed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", type=typed, metavar="AUDIO", help="any recording")
    parser.add_argument("--text", required=True, help="what is said in it, all of it")
    parser.add_argument(
        "--checkpoint",
        type=typed,
        default=Path("models/english.pth"),
        metavar="PATH",
        help="the model (default: %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--delay",
        type=float,
        metavar="SECONDS",
        help="how much later than the sound the model marks it; measured if not given",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, characters included"
    )
    options = parser.parse_args()
    recognizer = Recognizer.from_checkpoint(options.checkpoint, device=options.device)
    found = recognizer.align(options.audio, options.text, delay=options.delay)
    if options.json:
        print(json.dumps(asdict(found), ensure_ascii=False))
    else:
        print("  start      end  confidence  word")
        for word in found.words:
            print(f"{word.start:7.2f}  {word.end:7.2f}  {word.confidence:10.2f}  {word.word}")


if __name__ == "__main__":
    sys.exit(run_command(main))
