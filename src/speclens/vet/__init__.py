"""Vetting: hits to marked hits. Marks and measures, never deletes."""
