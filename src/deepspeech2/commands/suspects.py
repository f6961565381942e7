"""The search for bad transcripts, from its config."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from omegaconf import DictConfig

from deepspeech2.config.components import group, settings_of
from deepspeech2.config.loaders import corpora
from deepspeech2.config.recognizer import loader_from
from deepspeech2.datasets.mixed import apart
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.devices import use_threads
from deepspeech2.errors import ManifestError
from deepspeech2.escaping import one_line
from deepspeech2.extras.suspects.listing import (
    LIST,
    Suspect,
    claim,
    listable,
    listen,
    table,
    write,
)
from deepspeech2.inference import Recognizer
from deepspeech2.paths import resolve
from deepspeech2.settings import SuspectsSettings
from deepspeech2.types import Failure

log = logging.getLogger(__name__)

_SHOWN = 20  # utterances in the table


def suspects(config: DictConfig) -> int:
    """List, print and write; return 1 if any audio could not be read, otherwise 0.

    Raises:
        ManifestError: no utterance has a transcript.
    """
    settings = settings_of(config, SuspectsSettings)
    folder = resolve(settings.save_path)
    claim(folder, override=settings.override)
    use_threads(settings.threads)
    recognizer = Recognizer.from_checkpoint(
        settings.from_pretrained, device=settings.device, decoder=GreedyDecoder
    )
    parts = apart(corpora(group(config, "datasets")))
    open_loader = loader_from(config)
    found: list[Suspect] = []
    failures: list[Failure] = []
    for name, corpus in parts.items():
        known = [each for each in corpus if each.text is not None]
        if len(known) < len(corpus):
            log.warning("%s: %d utterances have no transcript", name, len(corpus) - len(known))
        if known:
            listed, broken = listen(recognizer, open_loader(recognizer, known), name, corpus.name)
            found += listed
            failures += broken
    if not found and not failures:
        raise ManifestError("datasets has no utterance with a transcript that could be suspected")
    found.sort(key=lambda each: (-each.evidence.suspicion, each.part, each.utterance.id))
    write(folder, found, parts, settings.threshold)
    _report(found, settings, failures)
    for name, corpus in parts.items():
        if listable(corpus):
            print(one_line(f"what is left of {corpus.name}: {folder / f'{name}.jsonl'}"))
    print(one_line(f"all, from the most suspicious on: {folder / LIST}"))
    return 1 if failures else 0


def _report(
    found: Sequence[Suspect], settings: SuspectsSettings, failures: Sequence[Failure]
) -> None:
    """Print the most suspicious, how many are beyond the threshold, and what cannot be read."""
    beyond = [each for each in found if each.evidence.suspicion > settings.threshold]
    if beyond:
        print(table(beyond[:_SHOWN]) + "\n")
    print(
        f"{len(beyond)} of {len(found)} transcripts"
        f" ({100 * len(beyond) / max(len(found), 1):.1f} %) have a suspicion above"
        f" suspects.threshold={settings.threshold:g}"
    )
    for each in failures:
        log.error("%s", each.reason)
