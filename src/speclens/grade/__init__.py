"""Candidates looked at by people: the inspection page of a run, and the store of its grades."""
