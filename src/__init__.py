"""DeepSpeech2: train it, transcribe with it, score the transcripts."""

import os
import sys
from importlib.util import find_spec

if sys.version_info < (3, 11):  # noqa: UP036 (who has an older one is to read this sentence)
    sys.exit("This Python is too old: 3.11 to 3.14 are needed")

# A notebook's `!python train.py` inherits its backend, at which Matplotlib's import fails where the
# notebook has an environment of its own. Nothing here opens a window.
_backend = os.environ.get("MPLBACKEND", "").partition("module://")[2]
if _backend and find_spec(_backend.partition(".")[0]) is None:
    del os.environ["MPLBACKEND"]
