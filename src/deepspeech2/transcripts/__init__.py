"""Transcripts, and the files of other programs that they can be written as."""

from deepspeech2.transcripts.formats import FORMATS
from deepspeech2.transcripts.transcript import Transcript

__all__ = ["FORMATS", "Transcript"]
