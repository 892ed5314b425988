"""Inspects a picture without decoding it: its type, its header, its metadata."""
