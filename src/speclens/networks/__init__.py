"""The networks: architecture, layers, inputs, models on disk."""
