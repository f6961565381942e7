"""The command ``deepspeech2``: the programs of the repository under one name."""

from __future__ import annotations

import importlib
import sys

CONFIGURED = {
    "train": ("train:train", "deepspeech2", "train a network"),
    "transcribe": ("infer:infer", "transcribe", "transcribe recordings: transcribe FILE ..."),
    "evaluate": ("infer:infer", "inference", "recognise and score a test set"),
    "doctor": ("doctor:doctor", "deepspeech2", "check config, machine and data before a run"),
    "preview": ("preview:preview", "deepspeech2", "see and hear training data"),
    "tune": ("tune_decoder:tune_decoder", "tune_decoder", "weigh a language model"),
    "calibrate": ("calibrate:calibrate", "calibrate", "calibrate confidences"),
    "suspects": ("suspects:suspects", "suspects", "find bad transcripts in a corpus"),
    "robustness": ("robustness:robustness", "robustness", "measure recognition in noise"),
}
"""What composes a config: task below ``commands``, config, and what it does."""
OTHERS = {
    "score": ("score", "score transcripts against references"),
    "align": ("align", "print when each word of a known text is said"),
    "segment": ("segment", "make a corpus of long recordings and their texts"),
    "label": ("label", "correct transcripts of recordings on a page"),
    "improve": ("improve", "train a model further on what people corrected"),
    "train-lm": ("train_lm", "train an n-gram language model"),
    "train-tokenizer": ("train_tokenizer", "train pieces of words as tokens"),
    "export": ("export", "export a checkpoint, as .onnx or .safetensors too"),
    "import": ("import_checkpoint", "import another program's checkpoint"),
    "download": ("download_model", "download a released model"),
    "serve": ("serve", "serve a page and an API to transcribe with"),
}
"""What takes options: module below ``commands``, and what it does."""
_ABOUT = """\
Trains, runs and scores DeepSpeech 2 speech recognisers.

usage: deepspeech2 COMMAND [KEY=VALUE or option ...]"""
_MORE = """\
To begin with: deepspeech2 train -cn=demo, deepspeech2 evaluate -cn=inference_demo, and
deepspeech2 transcribe FILE. deepspeech2 COMMAND --help shows configs and options."""
_WITH_VALUE = (
    "-cn", "--config-name", "-cp", "--config-path", "-cd", "--config-dir", "-c", "--cfg", "-p",
    "--package",
)  # fmt: skip
"""Options of Hydra whose value is the next word."""


def main() -> int:
    """Run the command that the first word names; returns the exit status."""
    name, words = (sys.argv[1] if len(sys.argv) > 1 else "--help"), sys.argv[2:]
    sys.argv = [f"deepspeech2 {name}", *words]
    if name in OTHERS:
        module = importlib.import_module(f"deepspeech2.commands.{OTHERS[name][0]}")
        return int(module.main())
    if name in CONFIGURED:
        from deepspeech2.config.command_line import run

        task, config_name, purpose = CONFIGURED[name]
        if name == "transcribe":
            sys.argv[1:] = with_audio(words)
        about = f"deepspeech2 {name}: {purpose}"
        run(f"deepspeech2.commands.{task}", config_name, check=name != "doctor", about=about)
    if name not in ("-h", "--help"):
        print(f"error: {name} is no command", file=sys.stderr)
    print(_help(), file=sys.stdout if name in ("-h", "--help") else sys.stderr)
    return 0 if name in ("-h", "--help") else 2


def with_audio(words: list[str]) -> list[str]:
    """``words`` with those that are no options and no ``KEY=VALUE`` as the config's ``audio``."""
    from deepspeech2.config.quoting import in_quotes
    from deepspeech2.paths import typed

    files: list[str] = []
    rest: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        is_option = word != "-" and word[:1] in ("", "-", "+", "~")
        is_file = typed(word).is_file() or "=" not in word
        (files if is_file and not is_option and before not in _WITH_VALUE else rest).append(word)
    if not files:
        return rest
    audio = files[0] if len(files) == 1 else f"[{','.join(map(in_quotes, files))}]"
    return [*rest, f"audio={audio}"]


def _help() -> str:
    listed = {name: what for name, (*_, what) in (CONFIGURED | OTHERS).items()}
    lines = [f"  {name:16}{what}" for name, what in listed.items()]
    return "\n".join([_ABOUT, "", *lines, "", _MORE])
