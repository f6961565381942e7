"""Check config, machine and data: python scripts/doctor.py -cn=deepspeech2 data_dir=PATH"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.build.command_line import run

if __name__ == "__main__":
    run("src.build.doctor:doctor", "deepspeech2", check=False)
