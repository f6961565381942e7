"""Serve a page and an API to transcribe with: python scripts/serve.py --checkpoint MODEL"""

import sys

from deepspeech2.commands.serve import main

if __name__ == "__main__":
    sys.exit(main())
