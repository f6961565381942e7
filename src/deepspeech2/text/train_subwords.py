"""Train pieces of words with sentencepiece, an optional package."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from queue import Queue

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.paths import install
from deepspeech2.text.subwords import BOUNDARY

TYPES = ("bpe", "unigram")
_LONGEST_SENTENCE = 1 << 24  # bytes; sentencepiece passes over longer ones


def train_pieces(
    sentences: Iterable[str], *, kind: str, size: int
) -> tuple[list[str], list[float] | None]:
    """Train ``size`` pieces of normalised ``sentences``, return them and their scores.

    Byte-pair encoding has no scores: its pieces are in the order in which they are merged.

    Raises:
        ConfigError: an option is out of range, sentencepiece is missing, or the text is too small
            for so many pieces or has more characters.
        ManifestError: there is no sentence.
    """
    if kind not in TYPES:
        raise ConfigError(f"type must be one of {', '.join(TYPES)}, but is {kind!r}")
    if size < 2:
        raise ConfigError(f"size must be at least 2, but is {size}")
    try:
        import sentencepiece
    except ImportError as error:
        raise ConfigError(f"training pieces needs sentencepiece: {install('subwords')}") from error
    texts = [sentence.replace(BOUNDARY, " ") for sentence in sentences]
    if not any(text.split() for text in texts):
        raise ManifestError("the text is empty: pieces need at least one sentence to learn from")
    model = io.BytesIO()
    try:
        _interruptible(
            lambda: sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type=kind,
                vocab_size=size + 1,  # and <unk>
                character_coverage=1.0,
                normalization_rule_name="identity",
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                max_sentence_length=_LONGEST_SENTENCE,
                num_threads=1,
                minloglevel=2,
            )
        )
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split()).rpartition("] ")[2]
        raise ConfigError(f"{size} pieces cannot be trained: {reason}") from error
    trained = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(1, trained.get_piece_size())
    pieces = [trained.id_to_piece(each) for each in ids]
    return pieces, None if kind == "bpe" else [trained.get_score(each) for each in ids]


def _interruptible(work: Callable[[], object]) -> None:
    """Do ``work`` in another thread: Python hears no signal while C++ computes in the main one.

    After an interruption the thread computes on until the process ends, and its result is lost.
    """
    end: Queue[Exception | None] = Queue()

    def do() -> None:
        try:
            work()
            end.put(None)
        except Exception as error:  # raised where it is waited for
            end.put(error)

    threading.Thread(target=do, daemon=True).start()
    if (error := end.get()) is not None:
        raise error
