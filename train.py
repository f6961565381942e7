"""Train: python train.py -cn=deepspeech2 trainer.n_epochs=10 writer.mode=offline"""

if __name__ == "__main__":  # a reader that is spawned imports this file, and needs none of this
    from deepspeech2.config.command_line import run

    run("deepspeech2.commands.train:train", "deepspeech2")
