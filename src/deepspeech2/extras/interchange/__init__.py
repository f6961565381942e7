"""Models that come from other programs."""

from deepspeech2.extras.interchange.converted import Converted
from deepspeech2.extras.interchange.importing import convert, import_checkpoint

__all__ = ["Converted", "convert", "import_checkpoint"]
