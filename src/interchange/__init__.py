"""Models that come from other programs."""

from src.interchange.converted import Converted
from src.interchange.importing import convert, import_checkpoint

__all__ = ["Converted", "convert", "import_checkpoint"]
