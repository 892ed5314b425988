"""Reads what models write: objects, numbers, words, refusals and loops."""
