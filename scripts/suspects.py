"""Find bad transcripts: python scripts/suspects.py datasets=manifest data_dir=PATH"""

from deepspeech2.config.command_line import run

if __name__ == "__main__":
    run("deepspeech2.commands.suspects:suspects", "suspects")
