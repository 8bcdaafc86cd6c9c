"""Injection and recovery."""
