"""Readers of the repository's own pages, templates, alerts and patterns."""
