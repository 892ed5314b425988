"""Runs vision tasks: pages, model calls, and the parsing and repair of answers."""
