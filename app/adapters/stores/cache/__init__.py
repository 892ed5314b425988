"""Stores of kept answers."""
