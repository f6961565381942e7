"""Import another program's checkpoint: python scripts/import_checkpoint.py FILE --output FILE"""

import sys

from deepspeech2.commands.import_checkpoint import main

if __name__ == "__main__":
    sys.exit(main())
