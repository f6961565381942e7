"""A checkpoint made ready for the way: what recognition needs, and nothing of the machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from src import checkpoint
from src.checkpoint import onnx_file, safetensors_file
from src.errors import CheckpointError, ConfigError
from src.files import alone
from src.inference.calibration import KEY
from src.interchange import onnx_export
from src.network.fetch import checksum
from src.paths import ROOT
from src.pipeline import Pipeline
from src.results import page
from src.results.rows import Result, without_paths

SUFFIXES = (".pth", safetensors_file.SUFFIX, onnx_file.SUFFIX)
log = logging.getLogger(__name__)
_KEPT = ("arch", "recipe", "state_dict", "calibration", "weights", "epoch", "step", "metrics")


def _nothing(_content: Mapping[str, Any]) -> None: ...


def export(
    source: Path,
    output: Path,
    *,
    int8: bool = False,
    streaming: bool = False,
    before: Callable[[Mapping[str, Any]], None] = _nothing,
) -> dict[str, Any]:
    """Write the checkpoint ``source`` to ``output``, as its ending says, for recognition alone.

    The optimiser is left out, and absolute paths are cut: of files in the repository to what
    stands below it, of others to their last component.

    Args:
        int8: store large weights in 8 bits; for ONNX only.
        streaming: for recordings piece by piece instead of whole ones; for ONNX only.
        before: is given what is about to be written.

    Returns:
        What was written.

    Raises:
        CheckpointError: ``output`` exists or has another ending, or ``source`` is no checkpoint.
        ConfigError: either is asked of another format, the model cannot stream, or a package is
            missing.
    """
    for option, asked in (("--int8", int8), ("--streaming", streaming)):
        if asked and output.suffix != onnx_file.SUFFIX:
            raise ConfigError(f"{option} is for {onnx_file.SUFFIX} only, but --output is {output}")
    if output.suffix not in SUFFIXES:
        raise CheckpointError(f"--output must end in {', '.join(SUFFIXES)}, but is {output}")
    with alone(output):
        if output.exists():
            raise CheckpointError(
                f"{output} is there already and is kept: move it away or name another --output"
            )
        kept, pipeline = _prepared(source)
        before(kept)
        if output.suffix == onnx_file.SUFFIX:
            onnx_export.write(kept, pipeline, output, int8=int8, streaming=streaming)
        else:
            checkpoint.save(kept, output)
        return kept


def _prepared(source: Path) -> tuple[dict[str, Any], Pipeline]:
    content = checkpoint.load(source)
    kept: dict[str, Any] = {key: content[key] for key in _KEPT if key in content}
    kept["config"] = _without_paths(content.get("config"))
    if "recipe" in kept:
        kept["recipe"] = _with_portable(kept["recipe"], warn=True)
    if isinstance(kept.get(KEY), Mapping):
        kept[KEY] = {name: _with_portable(fitted) for name, fitted in kept[KEY].items()}
    kept["exported_from"] = content.get("exported_from") or checksum(source)
    if "origin" in content:
        kept["origin"] = content["origin"]
    if onnx_file.SESSION in content:
        raise CheckpointError(f"{source} is of ONNX already: export the checkpoint it was made of")
    return kept, checkpoint.restore(kept, source, decoder=_greedy).pipeline


def card(
    content: Mapping[str, Any], rows: Sequence[Result], *, name: str, licence: str, data: str
) -> str:
    """A model card in Markdown, with the header that the Hugging Face hub reads.

    Args:
        content: of the checkpoint.
        rows: recorded results of this checkpoint.
        name: of the model's file.
        licence: of the weights, as the hub abbreviates it.
        data: what it was trained on and under which licence, in a sentence; empty to take what
            the results tell.
    """
    recipe = content["recipe"]
    network, features = recipe["model"], recipe["features"]
    sums = sum(value.numel() for key, value in content["state_dict"].items() if _learnt(key))
    trained = dict.fromkeys(
        f"{row.training.hours:g} h of {row.training.corpus}, {row.training.epochs} epochs"
        for row in rows
    )
    parts = [
        f"---\nlicense: {licence}\npipeline_tag: automatic-speech-recognition\ntags: [ctc, "
        "deepspeech2]\n---\n",
        f"# {name}\n",
        f"DeepSpeech 2 with CTC, {sums / 1e6:.1f} M parameters:"
        f" {len(network.get('conv_channels', ()))} convolutions,"
        f" {network.get('rnn_layers', '?')} {network.get('rnn_type', 'gru')} layers of"
        f" {network.get('rnn_size', '?')},"
        f" {'both directions' if network.get('bidirectional', True) else 'one direction'};"
        f" {network['n_features']} features at {features.get('sample_rate', 16000)} Hz"
        f" ({features['name']}); characters {recipe['text_encoder'].get('alphabet')!r}.\n",
        "```bash\npython inference.py -cn=transcribe audio=PATH"
        f" inferencer.from_pretrained={name}\n```\n",
        f"## Trained on\n\n{data or '; '.join(trained) or 'The checkpoint does not tell.'}\n",
        "## How good it is\n",
        page.summary(rows, []) if rows else "No result of this checkpoint has been recorded.\n",
    ]
    if rows:
        parts.append(
            "Error rates are corpus level: all edits over all words (characters) of the references,"
            " with 95 % intervals of a bootstrap over utterances.\n"
        )
        parts.append(f"## How it was measured\n\n{page.provenance(rows)}")
    return "\n".join(parts)


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_paths(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(each) for each in value]
    return without_paths(value) if isinstance(value, str) else value


def _with_portable(part: Any, *, warn: bool = False) -> Any:
    """``part`` with its decoder's files as they may be called on another machine."""
    if not isinstance(part, Mapping) or not isinstance(part.get("decoder"), Mapping):
        return part
    found = dict(part["decoder"])
    for key in ("lm", "lexicon"):
        path = Path(str(found.get(key) or ""))
        if path.is_absolute():
            inside = path.is_relative_to(ROOT)
            found[key] = str(path.relative_to(ROOT)) if inside else path.name
            if warn and not inside:
                log.warning(
                    "%s lies outside of this repository: the exported file names %s alone, so give"
                    " decoder.%s=PATH where it is used",
                    path, path.name, key,
                )  # fmt: skip
    return {**part, "decoder": found}


def _learnt(key: str) -> bool:
    return "running_" not in key and not key.startswith("front_end.")


def _greedy(text_encoder: Any) -> Any:
    """No language model is loaded to see whether the weights fit."""
    return checkpoint.COMPONENTS["GreedyDecoder"](text_encoder)
