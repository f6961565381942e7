"""Make confidences mean what they say: python scripts/calibrate.py data_dir=PATH"""

from deepspeech2.config.command_line import run

if __name__ == "__main__":
    run("deepspeech2.commands.calibrate:calibrate", "calibrate")
