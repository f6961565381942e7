"""What a user may say about recognition and what is measured with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval, Len

from deepspeech2.errors import ConfigError
from deepspeech2.settings.values import Count, Device, Positive, Share, Text, settings

Format = Literal["json", "jsonl", "ctm", "txt", "srt", "vtt", "tsv", "TextGrid"]
NoisePart = Literal["all", "train", "test"]

MAX_SEGMENT = 40.0
"""Seconds that the network hears at a time, if nobody says otherwise."""

_NotNegative = Annotated[float, Interval(ge=0)]
_LmWeight = Annotated[float, Interval(ge=0, lt=100)]  # as the decoder has it


@settings("inferencer")
class InferencerSettings:
    """The config group ``inferencer``.

    Attributes:
        from_pretrained: the checkpoint.
        save_path: predictions go to ``<save_path>/<part>/``; a relative folder counts from
            ``data/saved``.
        device: auto, cpu, cuda, cuda:N or mps.
        seed: of everything that is random; recognition is deterministic without it.
        threads: CPU threads; None leaves torch's choice.
        override: move earlier predictions of the same place aside; ``changed``: only if they are of
            another model, decoder or recording.
        overwrite: recognise again what is there already, and replace it.
        formats: what is written besides JSON.
        output: the folder for these; None: that of the predictions.
        max_segment: seconds; longer recordings are heard in pieces of at most that. None: never.
        channels: ``split`` hears each channel of a recording for itself, as those of a call;
            ``mix`` hears all of them together.
        reject_below: predictions whose confidence is below it, from 0 to 1, are marked as
            rejected; None marks none.
    """

    group: ClassVar[str]

    from_pretrained: Text
    save_path: Text
    device: Device = "auto"
    seed: int = 1
    threads: Count | None = None
    override: bool | Literal["changed"] = False
    overwrite: bool = False
    formats: Sequence[Format] = ()
    output: Text | None = None
    max_segment: Annotated[float, Interval(ge=2)] | None = MAX_SEGMENT
    channels: Literal["mix", "split"] = "mix"
    reject_below: Share | None = None


@settings("tuner")
class TunerSettings:
    """The config group ``tuner``.

    Attributes:
        lm_weight, word_score: the values of a grid beside the decoder's own.
        prior_weight: values that are tried at its best point.
        refinements: how often the steps of these three are halved around their best point.
        unknown_score, beam_size: values that are tried there, one after the other.
        search_beam_size: beams while weights are searched.
        tolerance: the smallest beam whose WER is at most this much above the best is taken.
        emissions_dir: where the network's output is kept.
        write: whether the best goes into the checkpoint.
    """

    group: ClassVar[str]

    lm_weight: Annotated[Sequence[_LmWeight], Len(1)]
    word_score: Annotated[Sequence[float], Len(1)]
    prior_weight: Annotated[Sequence[_NotNegative], Len(1)]
    unknown_score: Annotated[Sequence[float | None], Len(1)]
    beam_size: Annotated[Sequence[Count], Len(1)]
    refinements: Annotated[int, Interval(ge=0)] = 2
    search_beam_size: Count = 30
    tolerance: _NotNegative = 0.0005
    emissions_dir: Text = "data/emissions"
    write: bool = True


@settings("calibrator")
class CalibratorSettings:
    """The config group ``calibrator``.

    Attributes:
        folds: of the cross-validation that chooses between temperature alone and with a bias.
        reject_below: thresholds of confidence at which coverage and WER are reported.
        write: whether what was fitted goes into the checkpoint.
    """

    group: ClassVar[str]

    folds: Annotated[int, Interval(ge=2)] = 5
    reject_below: Sequence[Share] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    write: bool = True


@settings("robustness")
class RobustnessSettings:
    """The config group ``robustness``.

    Attributes:
        save_path: the folder for results; a relative path counts from the repository's root.
        snrs: signal-to-noise ratios in dB, and "clean" for speech without noise.
        class_snr: one of them, at which classes of noise are compared; None for none.
        part: of the noise folder's recordings: "test", "train" or "all".
        seed: of the noise and of the intervals.
        device: auto, cpu, cuda, cuda:N or mps.
        threads: CPU threads; None leaves torch's choice.
        override: move earlier results aside instead of refusing.
    """

    group: ClassVar[str]

    save_path: Text
    snrs: Annotated[Sequence[float | Literal["clean"]], Len(1), "a list of dB and 'clean'"]
    class_snr: float | None = None
    part: NoisePart = "test"
    seed: int = 1
    device: Device = "auto"
    threads: Count | None = None
    override: bool = False

    def __post_init__(self) -> None:
        if len(set(self.snrs)) < len(self.snrs):
            raise ConfigError(
                f"robustness.snrs must contain each level once, but is {list(self.snrs)!r}"
            )
        if self.class_snr is not None and self.class_snr not in self.snrs:
            raise ConfigError(
                "robustness.class_snr must be one of robustness.snrs, or null, but is"
                f" {self.class_snr!r}"
            )

    @property
    def snrs_db(self) -> tuple[float | None, ...]:
        """``snrs`` with None for clean speech."""
        return tuple(None if isinstance(snr, str) else snr for snr in self.snrs)


@settings("suspects")
class SuspectsSettings:
    """The config group ``suspects``.

    Attributes:
        from_pretrained: the checkpoint that listens.
        save_path: the folder for the list and manifests; a relative path counts from the
            repository's root.
        threshold: suspicion up to which an utterance is in the manifest of what is kept.
        device: auto, cpu, cuda, cuda:N or mps.
        threads: CPU threads; None leaves torch's choice.
        override: move an earlier list aside instead of refusing.
    """

    group: ClassVar[str]

    from_pretrained: Text
    save_path: Text
    threshold: float = 1.5
    device: Device = "auto"
    threads: Count | None = None
    override: bool = False


@settings("")
class ServeSettings:
    """Bounds of a server.

    Attributes:
        workers: recordings that are recognised at the same time.
        queue: requests that may wait for a worker; what comes beyond is refused (429).
        streams: recordings that may be made at the same time.
        max_upload_mb: megabytes of a request.
        max_seconds: of a recording or a stream.
        idle_seconds: in which a tenth of them in sound must come, or a stream is closed.
        connections: clients at the same time; beyond, the one that says nothing for longest is
            dropped.
        wait_seconds: in which a request's header must come, and a body or answer of which 10 kB a
            second come or go takes as many more.
        hosts: names that the server answers to, against pages of others that ask it.
    """

    group: ClassVar[str]

    workers: Count = 1
    queue: Annotated[int, Interval(ge=0)] = 8
    streams: Count = 4
    max_upload_mb: Positive = 50.0
    max_seconds: Positive = 1800.0
    idle_seconds: Positive = 30.0
    connections: Count = 256
    wait_seconds: Positive = 10.0
    hosts: Sequence[str] = ("127.0.0.1", "localhost", "[::1]")

    @property
    def max_bytes(self) -> int:
        return int(self.max_upload_mb * 1e6)
