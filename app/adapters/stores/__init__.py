"""Stores of data that outlives a request or a process."""
