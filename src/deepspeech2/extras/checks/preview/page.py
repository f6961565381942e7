"""One page that holds a preview: no server, no network, nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deepspeech2.escaping import html_text as escape
from deepspeech2.extras.checks.corpus_check import REMEDIES
from deepspeech2.extras.checks.preview.folder import MARK, Clip, Shown, Story
from deepspeech2.extras.checks.preview.statistics import Examined, facts, tightest

_STYLE = Path(__file__).with_name("page.css")
_MOST_NAMES = 200
_TIGHTEST = 8
_KINDS = {
    "transcripts": "no transcript",
    "unknown characters": "characters outside the alphabet",
    "empty transcripts": "nothing left of the transcript by normalisation",
    "alignment": "more characters than CTC has frames for",
}
"""By the kind of objection: a heading."""
_CHARTS = {
    "durations": "How long the utterances are that are left.",
    "padding": (
        "The batches of the first epoch of train, as the plan has them: how much of each is"
        " padding, up to its longest utterance, and how many utterances share it."
    ),
    "speech_rates": (
        "CTC emits a character in a frame, and a blank between two equal ones: a transcript needs"
        " so many frames at least. Beyond the line nothing can be learnt, and near it little."
    ),
}


def render(
    title: str,
    command: str,
    examined: Sequence[Examined],
    unknown: set[str],
    stories: Sequence[Story],
    charts: Mapping[str, bytes],
) -> str:
    """The page.

    Args:
        title: what the preview is of.
        command: that made it.
        examined: the corpora, train first.
        unknown: characters that the alphabet lacks.
        stories: the utterances that are shown.
        charts: PNG by name.
    """
    sections = {
        "numbers": ("What there is", _numbers(examined, charts)),
        "left-out": ("What is left out, and why", _left_out(examined)),
        "rates": ("Characters a second, and what CTC allows", _rates(examined, charts)),
        "characters": ("Characters", _characters(examined, unknown)),
        "augmentations": ("What the network hears", _stories(stories)),
    }
    links = "".join(f'<a href="#{key}">{name}</a>' for key, (name, _) in sections.items())
    body = "\n".join(
        f'<section id="{key}"><h2>{name}</h2>{content}</section>'
        for key, (name, content) in sections.items()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"{MARK}"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE.read_text('utf-8')}</style></head>\n"
        f'<body><header><h1>{escape(title)}</h1><div class="small soft"><code>{escape(command)}'
        f"</code></div><nav>{links}</nav></header>\n<main>{body}</main></body></html>\n"
    )


def _numbers(examined: Sequence[Examined], charts: Mapping[str, bytes]) -> str:
    told = {each.name: facts(each) for each in examined}
    labels = list(dict.fromkeys(label for each in told.values() for label in each))
    head = ["", *(f"{each.name} ({each.corpus.name})" for each in examined)]
    rows = [[label, *(told[name].get(label, "") for name in told)] for label in labels]
    train = examined[0]
    saved = (
        f"<p>In batches that met at random, {100 * train.random_padding:.1f} % of {train.name}"
        f" would be padding; by like duration it is {100 * train.padding:.1f}&nbsp;%.</p>"
    )
    pictures = "".join(_chart(name, charts) for name in ("durations", "padding"))
    return f'<div class="card wide">{_table(head, rows, numbers=True)}</div>{saved}{pictures}'


def _left_out(examined: Sequence[Examined]) -> str:
    rows = []
    for each in examined:
        for reason, names in each.left_out.items():
            listed = "".join(
                f"<li><code>{escape(name)}</code> {escape(why)}</li>"
                for name, why in names[:_MOST_NAMES]
            )
            advice = f'<p class="small soft">{REMEDIES[reason]}</p>' if reason in REMEDIES else ""
            rest = len(names) - _MOST_NAMES
            more = f"<li>and {rest:,} more, in numbers.json</li>" if rest > 0 else ""
            rows.append(
                f'<div class="card"><h3>{each.name}: {_heading(reason)}</h3>{advice}<details'
                f"{' open' * (len(names) <= 5)}><summary>{len(names):,} left out</summary>"
                f"<ul>{listed}{more}</ul></details></div>"
            )
    return "".join(rows) or "<p>Nothing.</p>"


def _heading(reason: str) -> str:
    return escape(_KINDS.get(reason, reason))


def _rates(examined: Sequence[Examined], charts: Mapping[str, bytes]) -> str:
    train = examined[0]
    rows = []
    for index in tightest(train, _TIGHTEST):
        item, needed, available = train.kept[index], train.needed[index], train.available[index]
        rows.append(
            [
                f"<code>{escape(item.id)}</code>",
                f"{item.duration:.2f} s",
                f"{needed}",
                f"{available}",
                f"{100 * needed / max(available, 1):.0f} %",
            ]
        )
    head = ["tightest of train", "duration", "frames needed", "frames, at least", "used"]
    table = _table(head, rows, numbers=True, safe=True)
    return f'{_chart("speech_rates", charts)}<div class="card wide">{table}</div>'


def _characters(examined: Sequence[Examined], unknown: set[str]) -> str:
    """Those of train, and any that the alphabet lacks."""
    counts = dict(examined[0].characters)
    for each in examined[1:]:
        for character in unknown & each.characters.keys():
            counts.setdefault(character, each.characters[character])
    most = max(counts.values(), default=1)
    ordered = sorted(counts, key=lambda each: (each not in unknown, -counts[each]))
    bars = "".join(
        f'<div class="character{" outside" * (each in unknown)}"><code>{_visible(each)}</code>'
        f'<span style="width:{100 * counts[each] / most:.2f}%"></span>'
        f"<i>{counts[each]:,}</i></div>"
        for each in ordered
    )
    lacking = sum(counts[each] for each in unknown & counts.keys())
    told = (
        f'<p class="warn">{len(unknown)} characters stand in transcripts and not in the alphabet,'
        f" {lacking:,} times in all: their utterances are left out.</p>"
        if unknown
        else "<p>All of them stand in the alphabet.</p>"
    )
    return f'{told}<div class="card"><div class="characters">{bars}</div></div>'


def _stories(stories: Sequence[Story]) -> str:
    if not stories:
        return "<p>None of the recordings could be read.</p>"
    parts = [
        "<p>Each augmentation by itself, in draws that change something, and then all together as"
        " training draws them, where some may change nothing. Pictures show the normalised"
        " features, low frequencies below.</p>"
    ]
    for story in stories:
        item = story.utterance
        speaker = f", speaker {escape(item.speaker)}" if item.speaker else ""
        parts.append(
            f'<h3 id="{escape(item.id)}"><code>{escape(item.id)}</code>{speaker}</h3>'
            f"<blockquote>{escape(item.text or '')}</blockquote>"
        )
        parts += [_shown(shown) for shown in story.shown]
    return "".join(parts)


def _shown(shown: Shown) -> str:
    warning = '<p class="warn">None of its draws changed anything.</p>' if shown.unchanged else ""
    return (
        f'<div class="card"><h3>{escape(shown.title)}</h3>'
        f'<p class="small soft">{escape(shown.detail)}</p>{warning}'
        f'<div class="clips">{"".join(map(_clip, shown.clips))}</div>'
        f'<div class="wide">{_image(shown.picture, shown.title)}</div></div>'
    )


def _clip(clip: Clip) -> str:
    player = ""
    if clip.audio is not None:
        source = f"data:audio/flac;base64,{base64.b64encode(clip.audio).decode()}"
        player = f'<audio controls preload="none" src="{source}"></audio>'
    return (
        f"<figure><figcaption><b>{escape(clip.label)}</b>"
        f' <span class="soft">{escape(clip.note)}</span></figcaption>{player}</figure>'
    )


def _chart(name: str, charts: Mapping[str, bytes]) -> str:
    if name not in charts:
        return ""
    return (
        f'<div class="card"><div class="wide">{_image(charts[name], _CHARTS[name])}</div>'
        f'<p class="small soft">{_CHARTS[name]}</p></div>'
    )


def _image(content: bytes, alt: str) -> str:
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return f'<img src="{source}" alt="{escape(alt)}" loading="lazy">'


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool, safe: bool = False
) -> str:
    """A table; ``safe`` cells are HTML already, and ``numbers`` stand to the right."""

    def line(cells: Sequence[str], tag: str) -> str:
        told = [cell if safe else escape(cell) for cell in cells]
        kinds = ["", *(' class="number"' * numbers for _ in told[1:])]
        return "".join(
            f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, told, strict=True)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{line(head, 'th')}</tr>{body}</table>"


def _visible(character: str) -> str:
    return "␣" if character == " " else escape(character)
