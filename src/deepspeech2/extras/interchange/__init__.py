"""Import of other programs' checkpoints, and export of ours."""

from deepspeech2.extras.interchange.importing import convert, import_checkpoint
from deepspeech2.extras.interchange.mapping import Converted

__all__ = ["Converted", "convert", "import_checkpoint"]
