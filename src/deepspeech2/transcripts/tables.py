"""Plain text, and one line for each word: .txt, .tsv, .ctm."""

from __future__ import annotations

from deepspeech2.escaping import sheet_cell
from deepspeech2.transcripts.transcript import Transcript


def txt(transcript: Transcript) -> str:
    """The text on one line, behind the channel where one was heard."""
    heard = "" if transcript.channel is None else f"[channel {transcript.channel}] "
    return f"{heard}{transcript.text}\n"


def tsv(transcript: Transcript) -> str:
    """Start and end in milliseconds, confidence and word, under a line that names them.

    Where one channel was heard, its number stands in the first column.
    """
    head, first = "", ""
    if transcript.channel is not None:
        head, first = "channel\t", f"{transcript.channel}\t"
    lines = [f"{head}start\tend\tconfidence\tword"]
    lines += [
        f"{first}{1000 * word.start:.0f}\t{1000 * word.end:.0f}\t{word.confidence:.4f}"
        f"\t{sheet_cell(word.word)}"
        for word in transcript.words
    ]
    return "".join(f"{line}\n" for line in lines)


def ctm(transcript: Transcript) -> str:
    """NIST's time-marked conversation: recording, channel, start, duration, word, confidence.

    The order within the file is that of ``sclite``: by recording, then by time.
    """
    name = "_".join(transcript.id.split())  # a blank would begin the next column
    return "".join(
        f"{name} {transcript.channel or 1} {word.start:.3f} {max(word.end - word.start, 0.0):.3f}"
        f" {word.word} {word.confidence:.4f}\n"
        for word in transcript.words
    )
