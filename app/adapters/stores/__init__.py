"""Stores of what outlives a request or a process."""
