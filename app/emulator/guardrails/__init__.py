"""Guardrails: what they find in texts and pictures, applied alone and around the model."""
