"""Recognise and score: python inference.py -cn=inference"""

if __name__ == "__main__":  # a reader that is spawned imports this file, and needs none of this
    from deepspeech2.config.command_line import run

    run("deepspeech2.commands.infer:infer", "inference")
