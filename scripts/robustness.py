"""Recognition in noise: python scripts/robustness.py 'checkpoints={a: FILE}' noise_dir=PATH"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.build.command_line import run

if __name__ == "__main__":
    run("src.build.robustness:robustness", "robustness")
