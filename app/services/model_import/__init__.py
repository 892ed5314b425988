"""Checks a folder of weights for Custom Model Import before the import costs anything."""
