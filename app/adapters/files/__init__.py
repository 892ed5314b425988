"""Stores of files, behind `FileStore`."""
