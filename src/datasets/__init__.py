"""Corpora of utterances, and the loader that makes batches of them."""

from src.datasets.bucketing import BucketBatchSampler, plan_epoch
from src.datasets.collate import collate
from src.datasets.corpus import Corpus, Exclusion
from src.datasets.dataset import SpeechDataset
from src.datasets.directory import DirectoryCorpus
from src.datasets.librispeech import LibriSpeechCorpus
from src.datasets.loader import Position, SpeechLoader
from src.datasets.manifest import ManifestCorpus
from src.datasets.sources import AudioCorpus
from src.datasets.spoken import SpokenCorpus

__all__ = [
    "AudioCorpus",
    "BucketBatchSampler",
    "Corpus",
    "DirectoryCorpus",
    "Exclusion",
    "LibriSpeechCorpus",
    "ManifestCorpus",
    "Position",
    "SpeechDataset",
    "SpeechLoader",
    "SpokenCorpus",
    "collate",
    "plan_epoch",
]
