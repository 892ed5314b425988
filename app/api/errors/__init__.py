"""Renders errors in each dialect's form."""
