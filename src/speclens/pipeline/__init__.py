"""The order of the stages: read, sample, search, report - in shards, resumable, with provenance."""
