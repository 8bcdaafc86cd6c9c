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
from speclens.config.vetting import (
    CandidatesConfig,
    CompanionLine,
    LineIdentity,
    ReportConfig,
    VetConfig,
)

__all__ = [
    "CandidatesConfig",
    "CompanionLine",
    "Config",
    "EmittersConfig",
    "EvaluationConfig",
    "ForegroundConfig",
    "LineIdentity",
    "MatchedFilterConfig",
    "NetworkConfig",
    "NoiseConfig",
    "NoiseRates",
    "PreparationConfig",
    "ReportConfig",
    "SearchConfig",
    "SelectionConfig",
    "SurveyConfig",
    "TrainingConfig",
    "TrainingSetConfig",
    "VetConfig",
    "bundled_configurations",
    "load_config",
]
