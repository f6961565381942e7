"""Recognise and score: python inference.py -cn=inference"""

from src.build import infer, run

if __name__ == "__main__":
    run(infer, "inference")
