"""Praat's TextGrid, the long text form: a tier of words with silence between them."""

from __future__ import annotations

from deepspeech2.transcripts.transcript import Transcript


def text_grid(transcript: Transcript) -> str:
    """One interval tier ``words`` from 0 to the end of the recording, without a gap."""
    spoken = "" if transcript.channel is None else f" (channel {transcript.channel})"
    intervals = _intervals(transcript)
    end = intervals[-1][1]
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end:.6f}",
        "tiers? <exists>",
        "size = 1",
        "item []:",
        "    item [1]:",
        '        class = "IntervalTier"',
        f'        name = "words{spoken}"',
        "        xmin = 0",
        f"        xmax = {end:.6f}",
        f"        intervals: size = {len(intervals)}",
    ]
    for number, (start, stop, label) in enumerate(intervals, 1):
        lines += [
            f"        intervals [{number}]:",
            f"            xmin = {start:.6f}",
            f"            xmax = {stop:.6f}",
            f'            text = "{label.replace(chr(34), 2 * chr(34))}"',
        ]
    return "".join(f"{line}\n" for line in lines)


def _intervals(transcript: Transcript) -> list[tuple[float, float, str]]:
    """Words and what lies between them; a word without extent has no interval."""
    found: list[tuple[float, float, str]] = []
    reached = 0.0
    for word in transcript.words:
        start = max(word.start, reached)
        if word.end <= start:
            continue
        if start > reached:
            found.append((reached, start, ""))
        found.append((start, word.end, word.word))
        reached = word.end
    if transcript.duration > reached or not found:
        found.append((reached, max(transcript.duration, reached), ""))
    return found
