"""Checkpoints: one file of plain containers and tensors with all that inference needs.

Keys of a checkpoint:

- ``format``, ``version``: of the file.
- ``arch``: the network's name.
- ``recipe``: arguments of the network, features, normalisation, text encoder and decoder.
- ``state_dict``: weights, and statistics of the features where there are any.
- ``epoch``, ``step``, ``metrics``: when it was written, and its scores.
- ``training``: what only resuming needs; absent from files made for inference alone.
- ``config``: the run's config, for people to read.
"""

from deepspeech2.checkpoint.file import (
    FORMAT,
    VERSION,
    change,
    check_writable,
    load,
    network_digest,
    reserved,
    save,
)
from deepspeech2.checkpoint.recipe import COMPONENTS, entry
from deepspeech2.checkpoint.restore import (
    Restored,
    check_recipe,
    check_weights,
    load_weights,
    restore,
)

__all__ = [
    "COMPONENTS",
    "FORMAT",
    "VERSION",
    "Restored",
    "change",
    "check_recipe",
    "check_weights",
    "check_writable",
    "entry",
    "load",
    "load_weights",
    "network_digest",
    "reserved",
    "restore",
    "save",
]
