"""Train: python train.py -cn=deepspeech2 trainer.n_epochs=10 writer.mode=offline"""

from src.build import run, train

if __name__ == "__main__":
    run(train, "deepspeech2")
