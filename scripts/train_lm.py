"""Train an n-gram language model: python scripts/train_lm.py TEXT ... --order N --output FILE"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.build.train_lm import train_lm
from src.errors import run_command
from src.paths import typed

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "texts",
        nargs="+",
        type=typed,
        metavar="TEXT",
        help="text, one sentence a line (also .gz, .xz), a manifest (.jsonl), or a folder in"
        " LibriSpeech's layout",
    )
    parser.add_argument("--order", type=int, required=True, help="words in the longest n-grams")
    parser.add_argument(
        "--prune",
        type=int,
        nargs="+",
        default=(),
        metavar="COUNT",
        help="for each order, the count up to which n-grams are dropped, as in 0 0 1",
    )
    parser.add_argument(
        "--entropy",
        type=float,
        metavar="NATS",
        help="drop n-grams whose loss changes the model by at most this, as in 1e-8",
    )
    parser.add_argument(
        "--limit-vocabulary", type=int, metavar="WORDS", help="keep only the most frequent words"
    )
    parser.add_argument(
        "--held-out",
        type=typed,
        nargs="+",
        default=(),
        metavar="TEXT",
        help="text or folder to measure the perplexity on",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="ARPA file to write (also .gz)"
    )
    options = vars(parser.parse_args())
    sys.exit(run_command(lambda: train_lm(options.pop("texts"), options.pop("output"), **options)))
