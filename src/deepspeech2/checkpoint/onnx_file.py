"""Models in ONNX, run by ONNX Runtime: waveforms in, log-probabilities out.

Everything that is no weight stands in the file's metadata, as in the other formats.
"""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepspeech2.checkpoint.safetensors_file import parsed
from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.escaping import first_line
from deepspeech2.loss import LossValue
from deepspeech2.model import DeepSpeech2
from deepspeech2.pipeline import Pipeline
from deepspeech2.transforms import FrontEnd
from deepspeech2.types import Padded

SUFFIX = ".onnx"
KEY = "deepspeech2"  # of the metadata
SESSION = "onnx"  # of the content that read() gives
_OF_OTHER_FILES = b"\n\x08location\x12"  # an entry of a tensor's external_data
STREAM = "stream"  # of the metadata of models that take a recording piece by piece
INPUTS = ("waveforms", "lengths")
OUTPUTS = ("log_probs", "frames")


def read(path: Path) -> dict[str, Any]:
    """The checkpoint that ``path`` holds, its weights in a session of ONNX Runtime.

    Raises:
        ConfigError: ONNX Runtime is not installed.
        CheckpointError: cut off, no ONNX, or not written here.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"{path} needs ONNX Runtime: pip install -r requirements-onnx.txt"
        ) from error
    content = path.read_bytes()
    if _OF_OTHER_FILES in content:
        raise CheckpointError(f"{path} has weights in other files, which are not read")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # its errors have no common class
        raise CheckpointError(
            f"{path} is cut off or no ONNX model ({first_line(error)})"
        ) from error
    try:
        told = session.get_modelmeta().custom_metadata_map.get(KEY)
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is damaged: its metadata are no text") from error
    if told is None:
        raise CheckpointError(f"{path} was not written here: its metadata lack {KEY!r}")
    return {**parsed(told, path), "state_dict": {}, SESSION: session}


def check_ports(
    session: Any, inputs: Collection[str], outputs: Collection[str], path: Path
) -> None:
    """Raise CheckpointError unless the graph takes ``inputs`` and nothing else to ``outputs``."""
    taken = {each.name for each in session.get_inputs()}
    given = {each.name for each in session.get_outputs()}
    if taken != set(inputs) or not given >= set(outputs):
        raise CheckpointError(
            "{} is damaged: its graph takes {} to {}, but {} to {} was to be expected".format(
                path, *(reprlib.repr(sorted(each)) for each in (taken, given, inputs, outputs))
            )
        )


def run(session: Any, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Tensor]:
    """What a session makes of ``inputs``.

    Raises:
        CheckpointError: the graph cannot compute it.
    """
    try:
        return [torch.from_numpy(each) for each in session.run(outputs, dict(inputs))]
    except Exception as error:  # its errors have no common class
        raise CheckpointError(
            f"the ONNX model cannot compute {', '.join(outputs)} ({first_line(error)}): export it"
            " again"
        ) from error


class OnnxPipeline(Pipeline):
    """A pipeline whose arithmetic is done by ONNX Runtime, on the CPU.

    Front end and network tell shapes and rates. Their weights are not numbers, so that nothing
    can take them for the model's.
    """

    def __init__(self, front_end: FrontEnd, network: DeepSpeech2, session: Any) -> None:
        nothing = torch.tensor(float("nan"))  # one for all, whatever sizes the recipe names
        super().__init__(front_end, network._apply(lambda each: nothing.expand(each.shape)))  # type: ignore[no-untyped-call]
        self.requires_grad_(False)
        self._session = session

    def emissions(self, waveforms: Padded, generator: torch.Generator | None = None) -> Padded:
        """Log-probabilities (B, T, V) of waveforms (B, S); nothing is augmented."""
        given = (waveforms.data.float().cpu().numpy(), waveforms.lengths.cpu().numpy())
        log_probs, frames = run(self._session, OUTPUTS, dict(zip(INPUTS, given, strict=True)))
        shape, n_tokens = tuple(log_probs.shape), self.network.n_tokens
        whole = len(shape) == 3 and (shape[0], shape[2]) == (len(waveforms), n_tokens)
        if not whole or frames.shape != shape[:1] or int(frames.max()) > shape[1]:
            raise CheckpointError(
                f"the ONNX model gives log-probabilities {shape} of {len(waveforms)} utterances,"
                f" but its alphabet has {n_tokens} tokens: export it again"
            )
        return Padded(log_probs, frames).to(waveforms.data.device)

    def forward(
        self, waveforms: Padded, labels: Padded, generator: torch.Generator | None = None
    ) -> tuple[LossValue, Padded]:
        log_probs = self.emissions(waveforms)
        lengths: Tensor = torch.stack((log_probs.lengths, labels.lengths)).cpu()
        value: LossValue = self.loss(log_probs, labels, lengths)
        return value, log_probs
