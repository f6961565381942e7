"""DeepSpeech2: train it, transcribe with it, score the transcripts."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (who has an older one is to read this sentence)
    sys.exit("This Python is too old: 3.11 to 3.14 are needed")
