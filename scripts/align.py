"""Print when each word is said: python scripts/align.py AUDIO --text TEXT [--json]"""

import sys

from deepspeech2.commands.align import main

if __name__ == "__main__":
    sys.exit(main())
