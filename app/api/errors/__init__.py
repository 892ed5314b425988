"""Renders errors in the form of each dialect."""
