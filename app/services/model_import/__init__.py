"""Checks what Custom Model Import requires of a folder of weights, before it costs anything."""
