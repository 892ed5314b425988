"""The one exception of this package."""


class SetupError(Exception):
    """Something can't be set up; the text names it and says how to get it."""
