"""Erasure of all that is kept about a caller."""
