"""Make a corpus of recordings and texts: python scripts/segment.py AUDIO TEXT --output FOLDER"""

import sys

from deepspeech2.commands.segment import main

if __name__ == "__main__":
    sys.exit(main())
