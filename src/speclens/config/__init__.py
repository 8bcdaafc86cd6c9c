"""Configuration: TOML files checked against models that know every key."""

from speclens.config.background import BackgroundConfig
from speclens.config.loading import (
    bundled_configurations,
    layers_of,
    load_config,
    load_searches,
)
from speclens.config.sections import (
    ComparisonConfig,
    Config,
    EmittersConfig,
    EvaluationConfig,
    ForegroundConfig,
    LinesConfig,
    MatchedFilterConfig,
    NetworkConfig,
    NoiseConfig,
    NoiseRates,
    PreparationConfig,
    SearchConfig,
    SelectionConfig,
    SurveyConfig,
    TablesConfig,
    ThresholdsConfig,
    TrainingConfig,
    TrainingSetConfig,
)
from speclens.config.vetting import (
    CandidatesConfig,
    NamedLine,
    ReportConfig,
    VetConfig,
)
from speclens.config.writing import configuration_toml, documented_keys, toml_value

__all__ = [
    "BackgroundConfig",
    "CandidatesConfig",
    "ComparisonConfig",
    "Config",
    "EmittersConfig",
    "EvaluationConfig",
    "ForegroundConfig",
    "LinesConfig",
    "MatchedFilterConfig",
    "NamedLine",
    "NetworkConfig",
    "NoiseConfig",
    "NoiseRates",
    "PreparationConfig",
    "ReportConfig",
    "SearchConfig",
    "SelectionConfig",
    "SurveyConfig",
    "TablesConfig",
    "ThresholdsConfig",
    "TrainingConfig",
    "TrainingSetConfig",
    "VetConfig",
    "bundled_configurations",
    "configuration_toml",
    "documented_keys",
    "layers_of",
    "load_config",
    "load_searches",
    "toml_value",
]
