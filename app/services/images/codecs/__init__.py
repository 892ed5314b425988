"""Decodes, converts and encodes pixels. Runs in a worker process."""
