"""Fetch the released checkpoint: python download_model.py [--url URL] [--sha256 HEX]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -I and -P leave it out

from src.interchange.released import main

if __name__ == "__main__":
    sys.exit(main())
