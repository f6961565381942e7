"""Export a checkpoint: python scripts/export.py CHECKPOINT --output MODEL.safetensors"""

import sys

from deepspeech2.commands.export import main

if __name__ == "__main__":
    sys.exit(main())
