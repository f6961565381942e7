"""DeepSpeech2: train it, transcribe with it, score the transcripts."""

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if sys.version_info < (3, 11):  # noqa: UP036 (who has an older one is to read this sentence)
    sys.exit("This Python is too old: 3.11 to 3.14 are needed")

# A notebook's `!python train.py` inherits its backend, at which Matplotlib's import fails where the
# notebook has an environment of its own. Nothing here opens a window.
_backend = os.environ.get("MPLBACKEND", "").partition("module://")[2]
if _backend and find_spec(_backend.partition(".")[0]) is None:
    del os.environ["MPLBACKEND"]

if TYPE_CHECKING:
    from deepspeech2.inference import Recognizer

__all__ = ["Recognizer"]


def __getattr__(name: str) -> Any:
    if name == "Recognizer":  # torch takes seconds, and scoring needs none of it
        from deepspeech2.inference import Recognizer

        return Recognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
