"""Hits to candidate tables and figures."""
