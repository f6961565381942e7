"""Train pieces of words: python scripts/train_tokenizer.py TEXT ... --size N --output FILE"""

import sys

from deepspeech2.commands.train_tokenizer import main

if __name__ == "__main__":
    sys.exit(main())
