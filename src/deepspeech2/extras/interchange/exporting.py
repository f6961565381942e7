"""A checkpoint made ready for the way: what recognition needs, and nothing of the machine."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepspeech2 import checkpoint
from deepspeech2.checkpoint import onnx_file, safetensors_file
from deepspeech2.errors import CheckpointError, ConfigError, ManifestError
from deepspeech2.extras.interchange import onnx_export
from deepspeech2.files import alone
from deepspeech2.http.fetch import checksum
from deepspeech2.inference.calibration import KEY
from deepspeech2.paths import ROOT, without_paths
from deepspeech2.pipeline import Pipeline
from deepspeech2.tables import markdown_table

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
    content: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    *,
    name: str,
    licence: str,
    data: str,
) -> str:
    """A model card in Markdown, with the header that the Hugging Face hub reads.

    Args:
        content: of the checkpoint.
        results: lines of ``results.jsonl`` about this checkpoint.
        name: of the model's file.
        licence: of the weights, as the hub abbreviates it.
        data: what it was trained on and under which licence, in a sentence; empty to take what
            the results tell.
    """
    recipe = content["recipe"]
    network, features = recipe["model"], recipe["features"]
    sums = sum(value.numel() for key, value in content["state_dict"].items() if _learnt(key))
    trained = dict.fromkeys(
        "{hours:g} h of {corpus}, {epochs} epochs".format_map(each["training"]) for each in results
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
        _table(results) if results else "No result of this checkpoint has been recorded.\n",
    ]
    return "\n".join(parts)


def _table(results: Sequence[Mapping[str, Any]]) -> str:
    header = ("test set", "WER, % (95 %)", "CER, % (95 %)", "decoding", "command")
    rows = []
    for each in results:
        model = each["language_model"]
        rows.append(
            (
                f"{each['test_set']} ({each['utterances']:,} utterances)",
                _percent(each["wer"]),
                _percent(each["cer"]),
                f"{each['decoder']} {model['name']}" if model else each["decoder"],
                f"`{each['evaluation']}`",
            )
        )
    return (
        f"{markdown_table(header, rows)}\n\nError rates are corpus level: all edits over all words"
        " (characters) of the references, with 95 % intervals of a bootstrap over utterances.\n"
    )


def _percent(rate: Mapping[str, float]) -> str:
    return f"{100 * rate['value']:.2f} ({100 * rate['low']:.2f} to {100 * rate['high']:.2f})"


def recorded(path: Path, digests: Collection[str]) -> list[dict[str, Any]]:
    """The last line of ``results.jsonl`` for each test set and decoder of a checkpoint.

    Args:
        path: of JSON lines; a file that does not exist has none.
        digests: SHA-256 of the checkpoint, and of those with the same weights.

    Raises:
        ManifestError: a line is no result; names its number.
    """
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if row["checkpoint_sha256"] in digests:
                found[row["test_set"], row["decoder"], str(row["language_model"])] = row
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(
                f"{path}, line {number} is no result ({error}): delete it"
            ) from error
    return list(found.values())


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
