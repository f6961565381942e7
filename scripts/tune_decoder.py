"""Weigh a language model: python scripts/tune_decoder.py decoder.lm=FILE data_dir=PATH"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.build.command_line import run

if __name__ == "__main__":
    run("src.build.tune_decoder:tune_decoder", "tune_decoder")
