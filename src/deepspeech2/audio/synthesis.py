"""Synthesise speech with eSpeak NG, through the wheel ``espeakng_loader`` and ctypes."""

from __future__ import annotations

import _ctypes
import ctypes
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from deepspeech2.audio import synthesis_events
from deepspeech2.audio.synthesis_events import Event, RawEvent, SpokenWord
from deepspeech2.errors import ConfigError, SpeechError

# From speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2  # samples go to the callback only; no audio device is opened
_INITIALIZE_PHONEME_EVENTS = 1
_INITIALIZE_DONT_EXIT = 0x8000  # report a missing data folder instead of ending the process
_CHARS_UTF8 = 1
_IPA_PHONES = ord("_") << 8 | 2  # in IPA, with "_" between them
_NO_PHONE = re.compile(r"[ˈˌ]|\([^)]*\)")  # stress, and changes of the language
_PARAMETERS = {"rate": 1, "amplitude": 2, "pitch": 3, "pitch_range": 4}
_LIMITS = {"rate": (80, 450), "amplitude": (0, 200), "pitch": (0, 99), "pitch_range": (0, 99)}

_LONGEST_DATA_PATH = 120  # bytes; eSpeak NG cuts what does not fit a buffer of 160
_FULL_SCALE = 32768
_SEED = 1  # of eSpeak NG's own noise

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(RawEvent)
)
_library_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaker and a way of speaking.

    Attributes:
        language: a voice file of eSpeak NG: "en" (British), "en-us", "en-gb-scotland", ...
        variant: a voice variant ("m1" to "m8", "f1" to "f5", ...); None for the plain voice.
        pitch: 0 to 99, in eSpeak NG's units; 50 is the voice's own.
        rate: words a minute, 80 to 450.
        amplitude: 0 to 200; 100 is normal.
        pitch_range: 0 (monotone) to 99; 50 is normal.

    Raises:
        ConfigError: a number is out of its range.
    """

    language: str = "en-us"
    variant: str | None = None
    pitch: int = 50
    rate: int = 160
    amplitude: int = 100
    pitch_range: int = 50

    def __post_init__(self) -> None:
        for key, (low, high) in _LIMITS.items():
            value = getattr(self, key)
            if not low <= value <= high:
                raise ConfigError(f"{key} of a voice must be {low} to {high}, but is {value}")

    @property
    def name(self) -> str:
        """As eSpeak NG writes it: "en-us+f3"."""
        return self.language if self.variant is None else f"{self.language}+{self.variant}"


class Synthesizer:
    """eSpeak NG as a function from text and voice to samples.

    The library keeps its state in global variables, and its output depends on earlier calls (the
    phase of the flutter, the noise generator). So every call loads it anew, which takes a
    millisecond, and unloads it again: equal calls give equal samples, in any order. Calls from
    several threads wait for each other; for speed, use several processes. While anything else in
    the process has the same library loaded, outputs may vary from call to call.

    Args:
        library_path, data_path: the shared library and its folder ``espeak-ng-data``; None for
            those of the wheel.
    """

    def __init__(
        self, *, library_path: str | Path | None = None, data_path: str | Path | None = None
    ) -> None:
        self.library_path = Path(library_path or espeakng_loader.get_library_path())
        self.data_path = Path(data_path or espeakng_loader.get_data_path())

    def speak(self, text: str, voice: Voice) -> tuple[NDArray[np.float32], int]:
        """Return samples (S,) in [-1, 1] and their rate in Hz, 22050 for nearly all voices.

        Raises:
            ConfigError: the voice's language or variant does not exist.
            SpeechError: the library or its data cannot be loaded, or it reports a failure.
        """
        samples, sample_rate, _ = self._speak(text, voice, phoneme_events=False)
        return samples, sample_rate

    def speak_timed(
        self, text: str, voice: Voice
    ) -> tuple[NDArray[np.float32], int, tuple[SpokenWord, ...]]:
        """Return the samples and rate of :meth:`speak`, and when each word is said.

        Raises: as :meth:`speak`.
        """
        samples, sample_rate, events = self._speak(text, voice, phoneme_events=True)
        words = synthesis_events.spoken_words(
            text, events, sample_rate=sample_rate, n_samples=len(samples)
        )
        return samples, sample_rate, words

    def phones(self, texts: Iterable[str], language: str) -> list[tuple[str, ...]]:
        """Return for each text its phones in IPA, without stress and without ends of words.

        A text's phones do not depend on the others.

        Raises: as :meth:`speak`.
        """
        with (
            _library_lock,
            _short_path(self.data_path) as data_path,
            self._loaded(data_path, False) as (library, _),
        ):
            _choose_voice(library, language)
            clause = library.espeak_TextToPhonemes
            clause.restype = ctypes.c_char_p
            clause.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
            found = []
            for text in texts:
                rest = ctypes.c_char_p(text.encode())
                clauses = []
                while rest.value is not None:  # the library moves it clause by clause
                    clauses.append(clause(ctypes.byref(rest), _CHARS_UTF8, _IPA_PHONES).decode())
                marked = _NO_PHONE.sub("", "_".join(clauses))
                found.append(tuple(filter(None, re.split("[_ ]", marked))))
            return found

    def _speak(
        self, text: str, voice: Voice, *, phoneme_events: bool
    ) -> tuple[NDArray[np.float32], int, list[Event]]:
        variants = self.data_path / "voices" / "!v"
        # eSpeak NG silently takes the plain voice where the variant is unknown.
        if voice.variant is not None and not (variants / voice.variant).is_file():
            raise ConfigError(f"variant must be a file of {variants}, but is {voice.variant!r}")
        with _library_lock, _short_path(self.data_path) as data_path:
            return self._synthesize(text, voice, data_path, phoneme_events)

    def _synthesize(
        self, text: str, voice: Voice, data_path: Path, phoneme_events: bool
    ) -> tuple[NDArray[np.float32], int, list[Event]]:
        chunks: list[NDArray[np.int16]] = []
        events: list[Event] = []

        def collect(
            samples: ctypes._Pointer[ctypes.c_short],
            count: int,
            event_list: ctypes._Pointer[RawEvent],
        ) -> int:
            events.extend(synthesis_events.read_events(event_list) if event_list else [])
            if samples and count > 0:
                chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
            return 0

        callback = _Callback(collect)  # kept alive by this name while C may call it
        with self._loaded(data_path, phoneme_events) as (library, sample_rate):
            library.espeak_SetSynthCallback(callback)
            _choose_voice(library, voice.name)
            for key, number in _PARAMETERS.items():
                library.espeak_SetParameter(number, getattr(voice, key), 0)
            library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
            encoded = text.encode()
            size = ctypes.c_size_t(len(encoded) + 1)
            status = library.espeak_Synth(encoded, size, 0, 0, 0, _CHARS_UTF8, None, None)
        if status:
            raise SpeechError(f"eSpeak NG failed with status {status} on {text!r}")
        samples = np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int16)
        return samples.astype(np.float32) / np.float32(_FULL_SCALE), sample_rate, events

    @contextmanager
    def _loaded(self, data_path: Path, phoneme_events: bool) -> Iterator[tuple[ctypes.CDLL, int]]:
        """Load the library in its first state; yield it and its sample rate in Hz."""
        try:
            library = ctypes.CDLL(os.fspath(self.library_path))
        except OSError as error:
            raise SpeechError(
                f"eSpeak NG cannot be loaded ({error}); install it again with "
                f"pip install --force-reinstall espeakng-loader"
            ) from error
        try:
            options = _INITIALIZE_DONT_EXIT | _INITIALIZE_PHONEME_EVENTS * phoneme_events
            sample_rate = library.espeak_Initialize(
                _AUDIO_OUTPUT_SYNCHRONOUS, 0, os.fsencode(data_path), options
            )
            if sample_rate <= 0:
                raise SpeechError(
                    f"eSpeak NG finds no voices in {self.data_path}; install it again with "
                    f"pip install --force-reinstall espeakng-loader"
                )
            try:
                yield library, sample_rate
            finally:
                library.espeak_Terminate()
        finally:
            _ctypes.dlclose(library._handle)


def _choose_voice(library: ctypes.CDLL, name: str) -> None:
    if library.espeak_SetVoiceByName(name.encode()):
        language = name.partition("+")[0]
        raise ConfigError(
            f"language must be an eSpeak NG voice such as 'en-us', but is {language!r}"
        )


@contextmanager
def _short_path(path: Path) -> Iterator[Path]:
    """Yield ``path``, or a link to it that is short enough for eSpeak NG."""
    if len(os.fsencode(path)) <= _LONGEST_DATA_PATH:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="espeak-") as folder:
        link = Path(folder) / "espeak-ng-data"
        link.symlink_to(path.resolve(), target_is_directory=True)
        yield link
