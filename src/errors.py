"""What can go wrong for a user. The message is one sentence with the value and the remedy.

Entry points print the message and exit with status 2; no traceback reaches a user.
"""


class SpeechError(Exception):
    """Anything that a user can mend."""


class ConfigError(SpeechError):
    """A key that does not exist or a value out of range."""


class ManifestError(SpeechError):
    """A corpus, index or manifest that is missing or malformed."""


class AudioError(SpeechError):
    """A recording that cannot be read, is empty or is cut off."""


class CheckpointError(SpeechError):
    """A file that is no checkpoint, is cut off, or belongs to another architecture."""


class DownloadError(SpeechError):
    """No network, a wrong checksum, a used-up quota or a full disk."""


class TrainingError(SpeechError):
    """A run that cannot go on: memory is used up, or nothing is finite any more."""
