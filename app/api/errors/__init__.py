"""Errors as answers, in the words of each dialect."""
