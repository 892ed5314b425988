"""``python -m app batch``: one task over a folder of pictures."""
