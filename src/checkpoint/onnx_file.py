"""Models in ONNX, run by ONNX Runtime: waveforms in, log-probabilities out.

Everything that is no weight stands in the file's metadata, as in the other formats.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.errors import CheckpointError, ConfigError
from src.loss import LossValue
from src.model import DeepSpeech2
from src.pipeline import Pipeline
from src.transforms import FrontEnd
from src.types import Padded

SUFFIX = ".onnx"
KEY = "deepspeech2"  # of the metadata
SESSION = "onnx"  # of the content that read() gives
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
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no common class
        raise CheckpointError(f"{path} is cut off or no ONNX model ({error})") from error
    told = session.get_modelmeta().custom_metadata_map.get(KEY)
    if told is None:
        raise CheckpointError(f"{path} was not written here: its metadata lack {KEY!r}")
    return {**json.loads(told), "state_dict": {}, SESSION: session}


class OnnxPipeline(Pipeline):
    """A pipeline whose arithmetic is done by ONNX Runtime, on the CPU.

    Front end and network tell shapes and rates. Their weights are not numbers, so that nothing
    can take them for the model's.
    """

    def __init__(self, front_end: FrontEnd, network: DeepSpeech2, session: Any) -> None:
        super().__init__(front_end, network)
        self._session = session
        for parameter in network.parameters():
            parameter.requires_grad_(False).fill_(float("nan"))

    def emissions(self, waveforms: Padded, generator: torch.Generator | None = None) -> Padded:
        """Log-probabilities (B, T, V) of waveforms (B, S); nothing is augmented."""
        given = (waveforms.data.float().cpu().numpy(), waveforms.lengths.cpu().numpy())
        found = self._session.run(OUTPUTS, dict(zip(INPUTS, given, strict=True)))
        log_probs, frames = (torch.from_numpy(each) for each in found)
        return Padded(log_probs, frames).to(waveforms.data.device)

    def forward(
        self, waveforms: Padded, labels: Padded, generator: torch.Generator | None = None
    ) -> tuple[LossValue, Padded]:
        log_probs = self.emissions(waveforms)
        lengths: Tensor = torch.stack((log_probs.lengths, labels.lengths)).cpu()
        value: LossValue = self.loss(log_probs, labels, lengths)
        return value, log_probs
