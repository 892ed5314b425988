"""Answers in a form: under a JSON Schema, a pattern or a choice."""
