"""Weigh a language model: python scripts/tune_decoder.py decoder.lm=FILE data_dir=PATH"""

from deepspeech2.config.command_line import run

if __name__ == "__main__":
    run("deepspeech2.commands.tune_decoder:tune_decoder", "tune_decoder")
