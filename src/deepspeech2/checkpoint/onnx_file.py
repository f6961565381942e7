"""Models in ONNX, run by ONNX Runtime: of whole recordings, or piece by piece with a state.

Everything that is no weight is in the file's metadata, as in the other formats.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepspeech2.checkpoint.safetensors_file import parse_header
from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.escaping import first_line
from deepspeech2.loss import LossValue
from deepspeech2.model import DeepSpeech2
from deepspeech2.paths import install
from deepspeech2.pipeline import Pipeline
from deepspeech2.transforms import FrontEnd
from deepspeech2.types import Padded

SUFFIX = ".onnx"
KEY = "deepspeech2"  # of the metadata
SESSION = "onnx"  # of the content that read() returns
STREAM = "stream"  # of the metadata of models that take a recording piece by piece
INPUTS = ("waveforms", "lengths")
OUTPUTS = ("log_probs", "frames")
STREAM_INPUTS = ("samples", "last")
NEXT = "next_"  # the prefix of the state's names where it comes out
_OF_OTHER_FILES = b"\n\x08location\x12"  # an entry of a tensor's external_data
_PIECES = ("first_samples", "samples")  # of the metadata
_LARGEST = 2**26  # numbers of a state


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint; its weights are in a session of ONNX Runtime.

    Raises:
        ConfigError: ONNX Runtime is not installed.
        CheckpointError: cut off, no ONNX, or not written here.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(f"{path} needs ONNX Runtime: {install('onnx')}") from error
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
        header = session.get_modelmeta().custom_metadata_map.get(KEY)
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is damaged: its metadata are no text") from error
    if header is None:
        raise CheckpointError(f"{path} was not written here: its metadata lack {KEY!r}")
    return {**parse_header(header, path), "state_dict": {}, SESSION: session}


def make_pipeline(
    front_end: FrontEnd, network: DeepSpeech2, content: Mapping[str, Any], path: Path
) -> OnnxPipeline:
    """Make the pipeline of what :func:`read` returned.

    Raises:
        CheckpointError: the graph is another than the metadata of ``path`` describe.
    """
    session = content[SESSION]
    if STREAM in content:
        stream = OnnxStream(session, content[STREAM], network.n_tokens, path)
        return OnnxStreamPipeline(front_end, network, session, stream)
    _check_ports(session, INPUTS, OUTPUTS, path)
    return OnnxPipeline(front_end, network, session)


def _check_ports(
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


def _run(session: Any, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Tensor]:
    """Compute the outputs of a session.

    Raises:
        CheckpointError: the graph cannot compute them.
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

    Front end and network provide shapes and rates. Their weights are not numbers, so that nothing
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
        log_probs, frames = _run(self._session, OUTPUTS, dict(zip(INPUTS, given, strict=True)))
        shape, n_tokens = tuple(log_probs.shape), self.network.n_tokens
        whole = len(shape) == 3 and (shape[0], shape[2]) == (len(waveforms), n_tokens)
        if not whole or frames.shape != shape[:1] or int(frames.max()) > shape[1]:
            raise CheckpointError(
                f"the ONNX model gives log-probabilities {shape} of {len(waveforms)} utterances,"
                f" but its alphabet has {n_tokens} tokens: export it again"
            )
        return Padded(log_probs, frames).to(waveforms.data.device)

    def forward(
        self,
        waveforms: Padded,
        labels: Padded,
        generator: torch.Generator | None = None,
        phones: Padded | None = None,
        weights: Tensor | None = None,
    ) -> tuple[LossValue, Padded]:
        log_probs = self.emissions(waveforms)
        lengths: Tensor = torch.stack((log_probs.lengths, labels.lengths)).cpu()
        value: LossValue = self.loss(log_probs, labels, lengths)
        return value, log_probs


@dataclass(frozen=True, slots=True)
class OnnxState:
    """What a stream needs from its past.

    Attributes:
        waiting: (S,) samples that are too few for a piece.
        values: of the graph, by name; empty before the first piece.
    """

    waiting: Tensor = field(default_factory=lambda: torch.zeros(0))
    values: Mapping[str, Any] = field(default_factory=dict)


class OnnxStream:
    """Runs a session of ONNX Runtime on a recording, piece by piece.

    Args:
        described: the metadata of ``path`` about the state before the first sample, which is zero,
            and about the fewest samples of the first piece and of all others but the last.
        n_tokens: of the alphabet.

    Raises:
        CheckpointError: the graph is another than described.
    """

    def __init__(self, session: Any, described: Any, n_tokens: int, path: Path) -> None:
        known = described if isinstance(described, Mapping) else {}
        state = known.get("state")
        pieces: list[Any] = [known.get(key) for key in _PIECES]
        if not isinstance(state, Mapping) or not all(
            type(each) is int and 0 < each < _LARGEST for each in pieces
        ):
            raise CheckpointError(f"{path} is damaged: its metadata describe no stream")
        outputs = (OUTPUTS[0], *(f"{NEXT}{name}" for name in state))
        _check_ports(session, (*STREAM_INPUTS, *state), outputs, path)
        inputs = {each.name: each for each in session.get_inputs()}
        for name, shape in state.items():
            if not _is_shape(shape, inputs[name].shape):
                raise CheckpointError(
                    f"{path} is damaged: the state {name!r} of its graph is {inputs[name].shape},"
                    f" but its metadata say {reprlib.repr(shape)}"
                )
        if session.get_outputs()[0].shape[1:] != [n_tokens]:
            raise CheckpointError(f"{path} is damaged: its graph has another number of tokens")
        self._session = session
        self._outputs = outputs
        self._first, self._other = pieces
        self._n_tokens = n_tokens
        self._zeros = {
            name: np.zeros(shape, np.int64 if "int64" in inputs[name].type else np.float32)
            for name, shape in state.items()
        }

    def start(self) -> OnnxState:
        """Return the state before the first sample."""
        return OnnxState()

    def step(
        self, state: OnnxState, samples: Tensor, *, last: bool = False
    ) -> tuple[OnnxState, Tensor]:
        """Process more samples (S,).

        Returns:
            The next state, and the log-probabilities (T, V) that are now final.
        """
        waiting = torch.cat((state.waiting, samples.float().cpu()))
        needed = self._other if state.values else self._first
        if (not last and len(waiting) < needed) or not (state.values or len(waiting)):
            return OnnxState(waiting, state.values), torch.zeros(0, self._n_tokens)
        given = dict(zip(STREAM_INPUTS, (waiting.numpy(), np.array([int(last)])), strict=True))
        found = _run(self._session, self._outputs, {**given, **(state.values or self._zeros)})
        log_probs, *after = found
        values = {name: each.numpy() for name, each in zip(self._zeros, after, strict=True)}
        return OnnxState(values=values), log_probs


def _is_shape(shape: Any, declared: list[Any]) -> bool:
    """Whether the graph declares this shape; lengths may be open there."""
    return (
        isinstance(shape, list)
        and len(shape) == len(declared)
        and all(type(n) is int and 0 <= n < _LARGEST for n in shape)
        and all(n == there for n, there in zip(shape, declared, strict=True) if type(there) is int)
        and math.prod(shape) < _LARGEST
    )


class OnnxStreamPipeline(OnnxPipeline):
    """A pipeline whose arithmetic is that of a streaming model in ONNX.

    Whole utterances go through it one by one, each as a single piece.
    """

    def __init__(
        self, front_end: FrontEnd, network: DeepSpeech2, session: Any, stream: OnnxStream
    ) -> None:
        super().__init__(front_end, network, session)
        self.stream = stream

    def emissions(self, waveforms: Padded, generator: torch.Generator | None = None) -> Padded:
        """Log-probabilities (B, T, V) of waveforms (B, S); nothing is augmented."""
        found = [
            self.stream.step(self.stream.start(), each, last=True)[1] for each in waveforms.unpad()
        ]
        return Padded.stack(found).to(waveforms.data.device)
