"""Guardrails around the model: whose policy holds, what is checked, what is let go."""
