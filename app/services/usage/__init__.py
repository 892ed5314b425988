"""Callers' usage and its cost."""
