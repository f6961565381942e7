"""A report as text, JSON, CSV or Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from deepspeech2.escaping import fenced, markdown_cell, one_line, sheet_cell
from deepspeech2.metrics.analysis import Row, Slice
from deepspeech2.metrics.comparison import Comparison
from deepspeech2.metrics.edits import EditCounts, align, side_by_side
from deepspeech2.metrics.interval import Interval
from deepspeech2.metrics.report import Origin, Report
from deepspeech2.tables import markdown_table, text_table

_DIGEST = 12  # letters of a SHA-256 that are shown
_Table = tuple[list[str], list[list[str]]]  # header and rows


def as_text(found: Report) -> str:
    """Return what was asked for, and the rates in percent as the last two lines."""
    score = found.score
    tables = [f"{title}\n{text_table(*table)}" for title, table in _tables(found)]
    parts = [*([_worst(found.worst)] if found.worst else []), *tables]
    lines = [
        *_origins(found),
        f"Utterances: {score.utterances}",
        f"Mean over utterances: WER {100 * score.mean_utterance_wer:.2f} %, "
        f"CER {100 * score.mean_utterance_cer:.2f} %",
        f"95 % interval over utterances: WER {_bounds(found.wer)}, CER {_bounds(found.cer)}",
    ]
    if found.by_speaker is not None:
        interval = _bounds(found.by_speaker)
        lines.append(f"95 % interval over {found.n_speakers} speakers: WER {interval}")
    lines += _further(found)
    lines.append(_rate("WER", score.words, "words"))
    lines.append(_rate("CER", score.characters, "characters"))
    return "\n\n".join([*parts, "\n".join(lines)])


def as_markdown(found: Report) -> str:
    """Return Markdown tables to paste into a document."""
    score = found.score
    header = ["", "rate", "95 % interval", "substitutions", "deletions", "insertions", "of"]
    rows = [
        [name, f"{100 * counts.rate:.2f} %", _bounds(interval), *_counts(counts)]
        for name, counts, interval in (
            ("WER", score.words, found.wer),
            ("CER", score.characters, found.cer),
        )
    ]
    lines = [
        f"{score.utterances} utterances; mean over utterances: WER"
        f" {100 * score.mean_utterance_wer:.2f} %, CER {100 * score.mean_utterance_cer:.2f} %"
    ]
    if found.by_speaker is not None:
        interval = _bounds(found.by_speaker)
        lines.append(f"95 % interval of the WER over {found.n_speakers} speakers: {interval}")
    lines += _further(found)
    origins = [markdown_cell(line) for line in _origins(found)]
    tables = [f"### {title}\n\n{markdown_table(*table)}" for title, table in _tables(found)]
    parts = [*origins, markdown_table(header, rows), *lines, *tables]
    if found.worst:
        parts.append(f"### Worst utterances\n\n{fenced(_worst(found.worst))}")
    return "\n\n".join(parts)


def as_csv(found: Report) -> str:
    """Return a row for each utterance, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ["id", "wer", "cer", "substitutions", "deletions", "insertions", "reference_words"]
    known = {"decoder": found.origin.decoders, "model": found.origin.models}
    more = [name for name, values in known.items() if values]
    writer.writerow([*names, "reference", "hypothesis", *more])
    for row in found.rows:
        words = row.words
        rates = f"{words.rate:.6f}", f"{row.characters.rate:.6f}"
        edits = words.substitutions, words.deletions, words.insertions, words.reference
        origin = (str(row.fields.get(key) or "") for key in more)
        name, *texts = (
            one_line(sheet_cell(each))
            for each in (row.name, row.reference, row.hypothesis, *origin)
        )
        writer.writerow([name, *rates, *edits, *texts])
    return text.getvalue().rstrip("\n")


def as_json(found: Report) -> str:
    """Return one JSON object; rates are fractions, edits are those of words."""
    words = found.score.words
    content: dict[str, Any] = {
        "wer": found.score.wer,
        "cer": found.score.cer,
        "wer_interval": [found.wer.low, found.wer.high],
        "cer_interval": [found.cer.low, found.cer.high],
        "substitutions": words.substitutions,
        "deletions": words.deletions,
        "insertions": words.insertions,
        "reference_words": words.reference,
        "reference_characters": found.score.characters.reference,
        "utterances": found.score.utterances,
        "mean_utterance_wer": found.score.mean_utterance_wer,
        "mean_utterance_cer": found.score.mean_utterance_cer,
        "skipped": found.skipped,
        "missing": found.missing,
        "remarks": _not_empty(found.remarks),
        **asdict(found.origin),
    }
    if found.by_speaker is not None:
        content["speakers"] = found.n_speakers
        content["wer_interval_speakers"] = [found.by_speaker.low, found.by_speaker.high]
    if found.reliability is not None:
        content["calibration_error"] = found.reliability["error"]
        content["reliability"] = found.reliability["bins"]
    if found.worst:
        content["worst"] = [_utterance(row) for row in found.worst]
    if found.confusions:
        content["confusions"] = found.confusions
    if found.slices:
        content["slices"] = {
            name: [_slice(each) for each in parts] for name, parts in found.slices.items()
        }
    if found.comparison is not None:
        content["comparison"] = _comparison(found.comparison)
        content["comparison"]["remarks"] = _not_empty(found.other_remarks)
        if found.other_origin is not None:
            content["comparison"]["second"] = asdict(found.other_origin)
    return json.dumps(content, ensure_ascii=False)


def origin_line(origin: Origin) -> str:
    """Return where predictions come from in a line, which is empty if nothing is known."""
    parts = [f"of {origin.date}"] if origin.date else []
    for name, values in (("decoder", origin.decoders), ("model", origin.models)):
        if values:
            shown = ", ".join(value[:_DIGEST] if name == "model" else value for value in values)
            parts.append(f"{name}{'s' * (len(values) > 1)} {shown}")
    return one_line(", ".join(parts))


def _origins(found: Report) -> list[str]:
    """A line for each of the predictions whose origin is known."""
    both = {"Predictions": found.origin, "Compared with predictions": found.other_origin}
    lines = {name: origin_line(origin) for name, origin in both.items() if origin is not None}
    return [f"{name} {line}" for name, line in lines.items() if line]


def _further(found: Report) -> list[str]:
    """A line on the comparison and one on the confidences, where there are such."""
    lines = [] if found.comparison is None else [_compared(found.comparison)]
    if found.reliability is not None:
        error, words = found.reliability["error"], found.reliability["words"]
        lines.append(
            f"Expected calibration error: {100 * error:.2f} % in the confidences of {words} words"
        )
    return lines


def _not_empty(remarks: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {reason: names for reason, names in remarks.items() if names}


def _tables(found: Report) -> list[tuple[str, _Table]]:
    """Confusions and slices, with their titles."""
    tables = [
        (f"Most frequent confusions of {unit}", _confusions(frequent))
        for unit, frequent in found.confusions.items()
    ]
    for name, parts in found.slices.items():
        header = [name, "utterances", "words", "WER", "95 % interval", "CER"]
        tables.append((f"By {name}", (header, [_cells(part) for part in parts])))
    return tables


def _confusions(frequent: Mapping[str, list[Any]]) -> _Table:
    columns = [
        [f"{ours} -> {theirs} ({count})" for ours, theirs, count in frequent["substitutions"]],
        [f"{text} ({count})" for text, count in frequent["deletions"]],
        [f"{text} ({count})" for text, count in frequent["insertions"]],
    ]
    height = max(map(len, columns))
    padded = [column + [""] * (height - len(column)) for column in columns]
    return ["said -> heard", "left out", "put in"], [list(row) for row in zip(*padded, strict=True)]


def _cells(part: Slice) -> list[str]:
    score = part.score
    rates = f"{100 * score.wer:.2f} %", _bounds(part.interval), f"{100 * score.cer:.2f} %"
    return [part.value, str(score.utterances), str(score.words.reference), *rates]


def _slice(part: Slice) -> dict[str, Any]:
    return {
        "value": part.value,
        "utterances": part.score.utterances,
        "reference_words": part.score.words.reference,
        "wer": part.score.wer,
        "wer_interval": [part.interval.low, part.interval.high],
        "cer": part.score.cer,
    }


def _utterance(row: Row) -> dict[str, Any]:
    return {
        "id": row.name,
        "wer": row.words.rate,
        "cer": row.characters.rate,
        "errors": row.words.errors,
        "reference": row.reference,
        "hypothesis": row.hypothesis,
    }


def _comparison(found: Comparison) -> dict[str, Any]:
    return {
        "utterances": found.utterances,
        "wer": [found.first, found.second],
        "difference": found.difference.value,
        "difference_interval": [found.difference.low, found.difference.high],
        "p_value": found.test.p_value,
        "exact": found.test.exact,
        "better": found.test.better,
        "worse": found.test.worse,
        "alone": found.alone,
    }


def _compared(found: Comparison) -> str:
    test = found.test
    low, high = 100 * found.difference.low, 100 * found.difference.high
    how = "exact" if test.exact else "drawn"
    alone = f"; {len(found.alone)} that only one has are left out" if found.alone else ""
    return (
        f"Compared on {found.utterances} utterances: WER {100 * found.first:.2f} % and"
        f" {100 * found.second:.2f} %, difference {100 * found.difference.value:+.2f} %"
        f" (95 % interval {low:+.2f} to {high:+.2f}), p {test.shown} ({how} matched-pairs"
        f" permutation test); the second is better in {test.better} utterances and worse in"
        f" {test.worse}{alone}"
    )


def _worst(rows: Sequence[Row]) -> str:
    return "\n\n".join(
        f"{one_line(row.name)}: {row.words.errors} errors in {row.words.reference} words\n"
        + side_by_side(align(row.reference.split(), row.hypothesis.split()))
        for row in rows
    )


def _rate(name: str, counts: EditCounts, unit: str) -> str:
    substitutions, deletions, insertions, length = _counts(counts)
    return (
        f"{name}: {100 * counts.rate:.2f} %  ({substitutions} substitutions, "
        f"{deletions} deletions, {insertions} insertions in {length} {unit})"
    )


def _counts(counts: EditCounts) -> list[str]:
    edits = counts.substitutions, counts.deletions, counts.insertions, counts.reference
    return list(map(str, edits))


def _bounds(interval: Interval) -> str:
    return f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %"
