"""Guardrails that judge texts and pictures, alone and around the model."""
