"""Keys of the PyTorch Project Template that have another name here, or none."""

from __future__ import annotations

from fnmatch import fnmatchcase

KEYS = {
    "dataloader.batch_size": (
        "batches are filled by seconds of padded audio; set dataloader.max_batch_duration, and"
        " dataloader.max_batch_size to limit the utterances"
    ),
    "dataloader.shuffle": "training batches are drawn anew in each epoch; set trainer.seed",
    "dataloader.drop_last": "batches are planned for all ranks together; leave it out",
    "dataloader._target_": "the loader is fixed; leave out _target_ and set the other keys",
    "dataloader.collate_fn": "batches are padded by the loader; leave it out",
    "dataloader.worker_init_fn": "readers draw nothing at random; leave it out",
    "datasets.*.instance_transforms": (
        "augmentation is a group of its own; set transforms.waveform_transforms and"
        " transforms.feature_transforms"
    ),
    "datasets.*.target_sr": "recordings are resampled to transforms.features.sample_rate",
    "datasets.*.shuffle_index": "set datasets.train.hours to choose utterances of all speakers",
    "datasets.*.text_encoder": "the group text_encoder serves all datasets; leave it out",
    "datasets.*.audio_dir": "choose datasets=directory and set data_dir",
    "datasets.*.transcription_dir": (
        "choose datasets=directory, which reads a .txt beside each recording"
    ),
    "transforms.instance_transforms": (
        "set transforms.waveform_transforms, which training applies to audio"
    ),
    "transforms.batch_transforms": (
        "set transforms.features and transforms.normalization for the spectrogram, and"
        " transforms.feature_transforms to augment it in training"
    ),
    "transforms.*.get_spectrogram": "set transforms.features",
    "model.n_feats": "the number of features comes from transforms.features; leave it out",
    "model.n_tokens": "the number of tokens comes from text_encoder; leave it out",
    "model.fc_hidden": "set model.rnn_size and model.rnn_layers",
    "lr_scheduler.steps_per_epoch": (
        "the number of steps comes from the planned batches; leave it out"
    ),
    "lr_scheduler.epochs": "the number of epochs is trainer.n_epochs; leave it out",
    "trainer.device_tensors": "whole batches are moved to the device; leave it out",
    "trainer.skip_oom": (
        "the largest batch is tried before training starts; lower dataloader.max_batch_duration if"
        " memory does not suffice"
    ),
    "trainer.gradient_accumulation_steps": "set trainer.accumulate",
    "trainer.n_gpu": "start train.py with torchrun, as in docs/scaling.md",
    "inferencer.device_tensors": "whole batches are moved to the device; leave it out",
    "inferencer.skip_model_load": "a checkpoint is always read; set inferencer.from_pretrained",
    "writer.loss_names": "the loss is logged as train/loss and val/loss; leave it out",
    "writer.id_length": "set writer.run_id to continue a run of the tracker",
    "baseline": "choose -cn=deepspeech2, or -cn=demo, which needs no data",
    "onebatchtest": "choose -cn=one_batch",
}
"""Patterns of keys and names of configs, each with what to do instead."""


def advice(key: str) -> str:
    """What to do instead of a key of the template, behind a colon; nothing for any other key.

    >>> advice("trainer.gradient_accumulation_steps")
    ': set trainer.accumulate'
    """
    key = key.replace("/", ".")  # of a group within a group
    found = (text for pattern, text in KEYS.items() if fnmatchcase(key, pattern))
    return next((f": {text}" for text in found), "")
