"""Candidates: ranked, named, with a lens model and tables."""
