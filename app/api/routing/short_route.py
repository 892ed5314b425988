"""Marks routes that `app.api.routing.express` may reach the short way."""

from fastapi.routing import APIRoute


class ShortRoute(APIRoute):
    """A route that needs nothing but a body, JSON or a form, and optional headers."""
