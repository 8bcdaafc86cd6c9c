"""Spectra to hits: matched filter and network, shard by shard."""
