"""Export what recognition needs of a checkpoint, without paths of the machine, and its card."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepspeech2 import checkpoint
from deepspeech2.checkpoint import onnx_file, safetensors_file
from deepspeech2.decoding import GreedyDecoder
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
_EXPORTED = (
    "arch", "recipe", "state_dict", KEY, "weights", "epoch", "step", "metrics", "origin",
)  # fmt: skip


def export(
    source: Path,
    output: Path,
    *,
    int8: bool = False,
    streaming: bool = False,
    before: Callable[[Mapping[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Write the checkpoint ``source`` to ``output``, in the format of its ending, for recognition.

    The optimiser is left out, and absolute paths are cut: of files in the repository to their
    path below it, of others to their last component.

    Args:
        int8: store large weights in 8 bits; for ONNX only.
        streaming: for recordings piece by piece instead of whole ones; for ONNX only.
        before: is called with what is about to be written.

    Returns:
        What was written.

    Raises:
        CheckpointError: ``output`` exists or has another ending, or ``source`` is no checkpoint.
        ConfigError: an option is for another format, the model cannot stream, or a package is
            missing.
    """
    for option, chosen in (("--int8", int8), ("--streaming", streaming)):
        if chosen and output.suffix != onnx_file.SUFFIX:
            raise ConfigError(f"{option} is for {onnx_file.SUFFIX} only, but --output is {output}")
    if output.suffix not in SUFFIXES:
        raise CheckpointError(f"--output must end in {', '.join(SUFFIXES)}, but is {output}")
    with alone(output):
        if output.exists():
            raise CheckpointError(
                f"{output} is there already and is kept: move it away or name another --output"
            )
        content, pipeline = _prepared(source)
        if before is not None:
            before(content)
        if output.suffix == onnx_file.SUFFIX:
            onnx_export.write(content, pipeline, output, int8=int8, streaming=streaming)
        else:
            checkpoint.save(content, output)
        return content


def _prepared(source: Path) -> tuple[dict[str, Any], Pipeline]:
    """Return what is written of a checkpoint, and its pipeline."""
    content = checkpoint.load(source)
    if onnx_file.SESSION in content:
        raise CheckpointError(f"{source} is of ONNX already: export the checkpoint it was made of")
    found: dict[str, Any] = {key: content[key] for key in _EXPORTED if key in content}
    found["config"] = _without_paths(content.get("config"))
    found["recipe"] = _portable(content["recipe"], warn=True)
    if isinstance(found.get(KEY), Mapping):
        found[KEY] = {name: _portable(fitted) for name, fitted in found[KEY].items()}
    found["exported_from"] = content.get("exported_from") or checksum(source)
    # no language model is loaded to see whether the weights fit
    return found, checkpoint.restore(found, source, decoder=GreedyDecoder).pipeline


@dataclass(frozen=True, slots=True)
class Recorded:
    """A line of ``results.jsonl`` in the words of a card.

    Attributes:
        training: what the model learnt from.
        row: of the table of error rates.
        origin: of the table that says how they were measured.
    """

    training: str
    row: tuple[str, ...]
    origin: tuple[str, ...]

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Recorded:
        """Take what a card needs; KeyError, TypeError or ValueError if the line lacks it."""
        model = line["language_model"]
        rates = (
            f"{100 * rate['value']:.2f} ({100 * rate['low']:.2f} to {100 * rate['high']:.2f})"
            for rate in (line["wer"], line["cer"])
        )
        beam = line["decoder_options"].get("beam_size")
        decoding = "greedy" if line["decoder"] == "Argmax" else f"beam {beam or ''}".rstrip()
        decoding += f", language model {model['name']}" if model else ""
        training = line["training"]
        row = (
            f"{line['test_set']} ({line['utterances']:,} utterances)",
            *rates,
            decoding,
            f"`{line['command']}`",
        )
        counts = ("substitutions", "deletions", "insertions", "reference")
        origin = (
            line["test_set"],
            decoding,
            f"`{line['evaluation']}`",
            ", ".join(f"{line['wer'][each]:,}" for each in counts),
            "{epochs}, {weights}, {seed}".format_map(training),
            f"{training['took_hours']:.3g} h, {training['machine']['processor']}",
            f"`{line['checkpoint_sha256'][:16]}`, `{line['transcripts_sha256'][:16]}`",
            line["date"],
        )
        return cls("{hours:g} h of {corpus}, {epochs} epochs".format_map(training), row, origin)


def recorded(path: Path, digests: Collection[str]) -> list[Recorded]:
    """Read the last line of ``results.jsonl`` for each test set and decoder of a checkpoint.

    Args:
        path: of JSON lines; a file that does not exist has none.
        digests: SHA-256 of the checkpoint, and of those with the same weights.

    Raises:
        ManifestError: a line is no result; names its number.
    """
    found: dict[tuple[str, ...], Recorded] = {}
    lines = path.read_bytes().splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            result = json.loads(line)
            if result["checkpoint_sha256"] in digests:
                options = json.dumps(result["decoder_options"], sort_keys=True)
                found[result["test_set"], result["decoder"], options] = Recorded.of(result)
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(
                f"{path}, line {number} is no result ({error}): delete it"
            ) from error
    return list(found.values())


def card(
    content: Mapping[str, Any], results: Sequence[Recorded], *, name: str, licence: str, data: str
) -> str:
    """Return a model card in Markdown, with the header that the Hugging Face hub reads.

    Args:
        content: of the checkpoint.
        results: of this checkpoint.
        name: of the model's file.
        licence: of the weights, as the hub abbreviates it.
        data: what it was trained on and under which licence, in a sentence; empty to take what
            the results contain.
    """
    recipe = content["recipe"]
    network, features = recipe["model"], recipe["features"]
    n_parameters = sum(
        value.numel()
        for key, value in content["state_dict"].items()
        if "running_" not in key and not key.startswith("front_end.")
    )
    trained = "; ".join(dict.fromkeys(each.training for each in results))
    parts = [
        f"---\nlicense: {licence}\npipeline_tag: automatic-speech-recognition\ntags: [ctc, "
        "deepspeech2]\n---\n",
        f"# {name}\n",
        f"DeepSpeech 2 with CTC, {n_parameters / 1e6:.1f} M parameters:"
        f" {len(network.get('conv_channels', ()))} convolutions,"
        f" {network.get('rnn_layers', '?')} {network.get('rnn_type', 'gru')} layers of"
        f" {network.get('rnn_size', '?')},"
        f" {'both directions' if network.get('bidirectional', True) else 'one direction'};"
        f" {network['n_features']} features at {features.get('sample_rate', 16000)} Hz"
        f" ({features['name']}); {_tokens(recipe['text_encoder'])}.\n",
        "```bash\npython inference.py -cn=transcribe audio=PATH"
        f" inferencer.from_pretrained={name}\n```\n",
        f"## Trained on\n\n{data or trained or 'The checkpoint does not record it.'}\n",
        "## How good it is\n",
    ]
    if results:
        header = ("test set", "WER, % (95 %)", "CER, % (95 %)", "decoding", "training command")
        parts.append(
            f"{markdown_table(header, [each.row for each in results])}\n\nError rates are corpus"
            " level: all edits over all words (characters) of the references, with 95 % intervals"
            " of a bootstrap over utterances.\n"
        )
        columns = (
            "test set", "decoding", "transcripts", "words: wrong, missing, too many, of",
            "epochs, weights, seed", "training", "SHA-256 of checkpoint, transcripts", "recorded",
        )  # fmt: skip
        table = markdown_table(columns, [each.origin for each in results])
        parts.append(f"## How it was measured\n\n{table}\n")
    else:
        parts.append("No result of this checkpoint has been recorded.\n")
    return "\n".join(parts)


def _tokens(text_encoder: Mapping[str, Any]) -> str:
    if "alphabet" in text_encoder:
        return f"characters {text_encoder['alphabet']!r}"
    return f"{len(text_encoder.get('pieces', ()))} pieces of words"


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_paths(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(each) for each in value]
    return without_paths(value) if isinstance(value, str) else value


def _portable(part: Any, *, warn: bool = False) -> Any:
    """Return ``part`` with its decoder's files as they may be called on another machine."""
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
                    "%s is outside of this repository: the exported file names %s alone, so give"
                    " decoder.%s=PATH where it is used",
                    path, path.name, key,
                )  # fmt: skip
    return {**part, "decoder": found}
