"""Train an n-gram language model: python scripts/train_lm.py TEXT ... --order N --output FILE"""

import sys

from deepspeech2.commands.train_lm import main

if __name__ == "__main__":
    sys.exit(main())
