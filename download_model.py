"""Fetch the released checkpoint: python download_model.py [--url URL] [--sha256 HEX]"""

import sys

from deepspeech2.commands.download_model import main

if __name__ == "__main__":
    sys.exit(main())
