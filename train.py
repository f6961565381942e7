"""Train: python train.py -cn=deepspeech2 trainer.n_epochs=10 writer.mode=offline"""

from src.build.command_line import run
from src.build.training import train

if __name__ == "__main__":
    run(train, "deepspeech2")
