"""Configuration: TOML files checked against models that know every key."""

from speclens.config.loading import bundled_configurations, load_config
from speclens.config.sections import (
    Config,
    EmittersConfig,
    EvaluationConfig,
    ForegroundConfig,
    MatchedFilterConfig,
    NetworkConfig,
    NoiseConfig,
    NoiseRates,
    PreparationConfig,
    SearchConfig,
    SelectionConfig,
    SurveyConfig,
    TrainingConfig,
    TrainingSetConfig,
)

__all__ = [
    "Config",
    "EmittersConfig",
    "EvaluationConfig",
    "ForegroundConfig",
    "MatchedFilterConfig",
    "NetworkConfig",
    "NoiseConfig",
    "NoiseRates",
    "PreparationConfig",
    "SearchConfig",
    "SelectionConfig",
    "SurveyConfig",
    "TrainingConfig",
    "TrainingSetConfig",
    "bundled_configurations",
    "load_config",
]
