"""Front end, network and loss as one unit: waveforms in, log-probabilities or a loss out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from deepspeech2.devices import beside
from deepspeech2.errors import ConfigError
from deepspeech2.loss import CtcLoss, LossValue
from deepspeech2.transforms import FrontEnd
from deepspeech2.types import Padded


def check_taps(network: nn.Module, loss: nn.Module) -> list[str]:
    """Return in a sentence each what is wasted if nothing learns from a network's taps.

    Raises:
        ConfigError: the loss has a weight for taps, and the network has none.
    """
    wasted = []
    for key, option, example in (
        ("intermediate", "intermediate_weight", "[2]"),
        ("phones_after", "phones_weight", "2"),
    ):
        taps, weight = getattr(network, key, None), getattr(loss, option, 0.0)
        if weight and not taps:
            raise ConfigError(
                f"loss_function.{option}={weight} needs a network with taps: name the layers"
                f" after which they are, as model.{key}={example}"
            )
        if taps and not weight:
            named = list(taps) if key == "intermediate" else taps
            wasted.append(
                f"nothing learns from model.{key}={named}: give loss_function.{option} a value"
                " such as 0.3"
            )
    return wasted


class HostCopy:
    """Copies a small tensor from a device to the processor without waiting.

    CTC reads its lengths on the processor. Fetched at that point, they would wait for all that
    the device has still to do; sent before the network's work is queued, they arrive during it.
    """

    def __init__(self, values: Tensor) -> None:
        self._copy = values.to("cpu", non_blocking=True)
        self._arrived: Any = None
        if values.is_cuda:
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def read(self) -> Tensor:
        """Return the values on the CPU."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._copy


class Pipeline(nn.Module):
    """Front end, network and loss: what is trained, saved and used for recognition.

    Attributes:
        network: has the weights: a :class:`DeepSpeech2` or another :class:`AcousticModel`.
        through: calls the network under an engine's precision and ranks; None calls it plainly.
        seconds_per_frame: of the log-probabilities.
        device: of waveforms, labels and log-probabilities; :meth:`place` chooses it.
    """

    def __init__(self, front_end: FrontEnd, network: Any, loss: Any = None) -> None:
        super().__init__()
        self.front_end = front_end
        self.network = network
        self.through: Callable[[Padded], Padded] | None = None
        self.loss = loss or CtcLoss()
        self.seconds_per_frame: float = front_end.seconds_per_frame * network.time_stride
        self.device = torch.device("cpu")

    def place(self, device: torch.device) -> Pipeline:
        """Move the network to ``device``, and front end and loss there too or to the CPU.

        The latter on devices without their operators: see :data:`deepspeech2.devices.LIMITED`.
        """
        self.device = beside(device)
        self.to(self.device)
        if self.device != device:
            self.network.to(device)
        return self

    def forward(
        self,
        waveforms: Padded,
        labels: Padded,
        generator: torch.Generator | None = None,
        phones: Padded | None = None,
        weights: Tensor | None = None,
    ) -> tuple[LossValue, Padded]:
        """Return the loss of labels (B, L), and the log-probabilities that it came from.

        Waveforms (B, S) are augmented only when a generator is given. Phones (B, L'), on the CPU,
        are for a loss that takes them, as are weights (B,) of the transcripts.

        Returns:
            The log-probabilities are (B, T, V); in training (views * B, T, V) if the loss wants
            several views, one view of all utterances after the other.
        """
        views = self.loss.views if self.training else 1
        with record_function("step: front end"):
            features: Padded = self.front_end(waveforms, generator, views)
        frames = self.network.output_lengths(features.lengths[: len(labels)])
        lengths = HostCopy(torch.stack((frames, labels.lengths)))
        with record_function("step: network"):
            log_probs = self._called(features)
        with record_function("step: loss"):
            given = {"phones": phones, "weights": weights}
            more = {name: each for name, each in given.items() if each is not None}
            value: LossValue = self.loss(log_probs, labels, lengths.read(), **more)
        return value, log_probs

    def emissions(self, waveforms: Padded, generator: torch.Generator | None = None) -> Padded:
        """Return log-probabilities (B, T, V) of waveforms (B, S)."""
        return self._called(self.front_end(waveforms, generator))

    def _called(self, features: Padded) -> Padded:
        """Return the network's log-probabilities, on the device of ``features``."""
        call = self.through or self.network
        weight = next(self.network.parameters(), None)
        if weight is None or weight.device == features.data.device:
            return call(features)
        return call(features.to(weight.device)).to(features.data.device)

    def output_frames(self, n_samples: Tensor) -> Tensor:
        """Return the fewest output frames (B,) that ``n_samples`` (B,) give in training."""
        frames: Tensor = self.network.output_lengths(self.front_end.fewest_frames(n_samples))
        return frames

    def plain_frames(self, n_samples: Tensor) -> Tensor:
        """Return the output frames (B,) of ``n_samples`` (B,) without augmentation."""
        frames: Tensor = self.network.output_lengths(self.front_end.output_lengths(n_samples))
        return frames
