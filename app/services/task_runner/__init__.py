"""Runs a vision task: its pages, its calls, the reading and repair of its answers."""
