"""The one exception of this package."""


class SetupError(Exception):
    """Something can't be set up; the text says what, and how to get it."""
