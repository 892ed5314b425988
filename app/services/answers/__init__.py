"""Typed answers from a model that has no JSON mode."""
