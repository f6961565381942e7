"""Scores predictions: corpus word and character error rate. Imports no torch.

Predictions and references together: --dir_path with a folder of JSON files or a file of JSON
lines (keys pred_text and text; NeMo's manifests too), or a table (.csv, .tsv). Apart: --pred_dir
and --gt_dir, each a folder of .txt, or a file in the form of Kaldi's text or sclite's trn.
"""

import sys

from deepspeech2.commands.score import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
