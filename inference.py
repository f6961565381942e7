"""Recognise and score: python inference.py -cn=inference"""

from src.build.command_line import run
from src.build.inference import infer

if __name__ == "__main__":
    run(infer, "inference")
