"""What a user may say, group by group; checked before anything heavy is imported."""

from deepspeech2.settings.recognition import (
    CalibratorSettings,
    InferencerSettings,
    RobustnessSettings,
    ServeSettings,
    SuspectsSettings,
    TunerSettings,
)
from deepspeech2.settings.template import advice
from deepspeech2.settings.training import DataloaderSettings, PreviewSettings, TrainerSettings
from deepspeech2.settings.values import check_value, is_number

GROUPS = {
    each.group: each
    for each in (
        TrainerSettings,
        DataloaderSettings,
        InferencerSettings,
        TunerSettings,
        CalibratorSettings,
        RobustnessSettings,
        SuspectsSettings,
        PreviewSettings,
    )
}
"""Classes by the config groups that they are."""

__all__ = [
    "GROUPS",
    "CalibratorSettings",
    "DataloaderSettings",
    "InferencerSettings",
    "PreviewSettings",
    "RobustnessSettings",
    "ServeSettings",
    "SuspectsSettings",
    "TrainerSettings",
    "TunerSettings",
    "advice",
    "check_value",
    "is_number",
]
