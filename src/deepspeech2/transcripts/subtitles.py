"""SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

from deepspeech2.transcripts.cues import cues
from deepspeech2.transcripts.transcript import Transcript


def srt(transcript: Transcript) -> str:
    """SubRip: numbered cues, milliseconds after a comma; a line says the channel, if any."""
    spoken = [] if transcript.channel is None else [f"[channel {transcript.channel}]"]
    blocks = [
        "\n".join(
            (
                str(number),
                f"{_time(cue.start, ',')} --> {_time(cue.end, ',')}",
                *spoken,
                *cue.lines,
            )
        )
        for number, cue in enumerate(cues(transcript.words, transcript.duration), 1)
    ]
    return "".join(f"{block}\n\n" for block in blocks)


def vtt(transcript: Transcript) -> str:
    """WebVTT (W3C): milliseconds after a point; ``&``, ``<`` and ``>`` are escaped.

    A channel is a voice.
    """
    voice = "" if transcript.channel is None else f"<v channel {transcript.channel}>"
    blocks = [
        "\n".join(
            (
                f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}",
                voice + "\n".join(_escaped(line) for line in cue.lines),
            )
        )
        for cue in cues(transcript.words, transcript.duration)
    ]
    return "WEBVTT\n\n" + "".join(f"{block}\n\n" for block in blocks)


def _time(seconds: float, point: str) -> str:
    """``01:02:03,450``"""
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
