"""Recognition in noise: python scripts/robustness.py 'checkpoints={a: FILE}' noise_dir=PATH"""

from deepspeech2.config.command_line import run

if __name__ == "__main__":
    run("deepspeech2.commands.robustness:robustness", "robustness")
