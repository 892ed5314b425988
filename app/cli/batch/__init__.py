"""``python -m app batch``: runs one task over a folder of pictures."""
