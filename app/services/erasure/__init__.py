"""Erasure of all data kept about a caller."""
