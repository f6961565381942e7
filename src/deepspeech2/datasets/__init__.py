"""Corpora of utterances, and the loader that makes batches of them."""

from deepspeech2.datasets.audio_corpus import AudioCorpus
from deepspeech2.datasets.bucketing import BucketBatchSampler, plan_epoch
from deepspeech2.datasets.common_voice import CommonVoiceCorpus
from deepspeech2.datasets.corpus import Corpus, Exclusion
from deepspeech2.datasets.dataset import SpeechDataset, collate
from deepspeech2.datasets.directory import DirectoryCorpus
from deepspeech2.datasets.huggingface import HuggingFaceCorpus
from deepspeech2.datasets.items import ItemCorpus
from deepspeech2.datasets.kaldi import KaldiCorpus
from deepspeech2.datasets.lhotse import LhotseCorpus
from deepspeech2.datasets.librispeech import LibriSpeechCorpus
from deepspeech2.datasets.loader import Position, SpeechLoader
from deepspeech2.datasets.manifest import ManifestCorpus
from deepspeech2.datasets.mixed import MixedCorpus
from deepspeech2.datasets.spoken import SpokenCorpus
from deepspeech2.datasets.stm import StmCorpus
from deepspeech2.datasets.table import TableCorpus
from deepspeech2.datasets.tar import TarCorpus
from deepspeech2.datasets.voxforge import VoxForgeCorpus

__all__ = [
    "AudioCorpus",
    "BucketBatchSampler",
    "CommonVoiceCorpus",
    "Corpus",
    "DirectoryCorpus",
    "Exclusion",
    "HuggingFaceCorpus",
    "ItemCorpus",
    "KaldiCorpus",
    "LhotseCorpus",
    "LibriSpeechCorpus",
    "ManifestCorpus",
    "MixedCorpus",
    "Position",
    "SpeechDataset",
    "SpeechLoader",
    "SpokenCorpus",
    "StmCorpus",
    "TableCorpus",
    "TarCorpus",
    "VoxForgeCorpus",
    "collate",
    "plan_epoch",
]
