"""Guardrails around the model: policies, checks and released texts."""
