"""The language models that LibriSpeech comes with (OpenSLR 11), fetched when first used."""

from __future__ import annotations

from pathlib import Path

from deepspeech2.errors import ManifestError
from deepspeech2.http.fetch import MIRRORS, fetch
from deepspeech2.paths import resolve

FOLDER = "data/lm"
# name: (md5, bytes); the checksums are those that the recipes of other toolkits state
MODELS = {
    "3-gram.pruned.3e-7": ("8f67ec741827742eee05799ab7605b50", 13_654_242),
    "3-gram.pruned.1e-7": ("9a0f1325bcaf3a0f7b7be4be10823c2a", 34_094_057),
    "3-gram": ("74cbb837e582378c26c602e1c8cbcb9c", 759_636_181),
    "4-gram": ("6abdcd5b055bd482e4f9defe91d40408", 1_355_172_078),
}


def locate(lm: str) -> Path:
    """The ARPA file that ``lm`` names: one of :data:`MODELS`, or a path.

    A named model that is missing is downloaded to ``data/lm`` and checked.

    Raises:
        ManifestError: there is neither such a model nor such a file.
        DownloadError: the model cannot be had; what has arrived is kept and resumed next time.
    """
    name = lm.removesuffix(".gz").removesuffix(".arpa")
    if name not in MODELS or resolve(lm).exists():
        path = resolve(lm)
        if not path.is_file():
            raise ManifestError(
                f"decoder.lm={lm} does not exist: name an ARPA file (scripts/train_lm.py makes"
                f" one), or one of LibriSpeech's models, {', '.join(MODELS)}"
            )
        return path
    target = resolve(FOLDER) / f"{name}.arpa.gz"
    if not target.exists():  # what lies there was checked when it came
        md5, size = MODELS[name]
        urls = [f"{base.rstrip('/')}/11/{target.name}" for base in MIRRORS]
        fetch(urls, target, md5=md5, size=size)
    return target
