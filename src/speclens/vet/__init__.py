"""Hits to marked hits: measured, flagged, never deleted."""
