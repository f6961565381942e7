"""Correct transcripts of recordings on a page: python scripts/label.py FOLDER"""

import sys

from deepspeech2.commands.label import main

if __name__ == "__main__":
    sys.exit(main())
