"""Faults on demand, and their schedule."""
