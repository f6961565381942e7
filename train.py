"""Train: python train.py -cn=deepspeech2 trainer.n_epochs=10 writer.mode=offline"""

if __name__ == "__main__":  # a reader that is spawned imports this file, and needs none of these
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -I and -P leave it out

    from src.build.command_line import run

    run("src.build.training:train", "deepspeech2")
