"""See and hear the training data: python scripts/preview.py -cn=deepspeech2 data_dir=PATH"""

from deepspeech2.config.command_line import run

if __name__ == "__main__":
    run("deepspeech2.commands.preview:preview", "deepspeech2")
