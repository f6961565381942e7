"""Improve a model by what was corrected: python scripts/improve.py FOLDER"""

import sys

from deepspeech2.commands.improve import main

if __name__ == "__main__":
    sys.exit(main())
