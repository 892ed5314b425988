"""Marks routes that `app.api.express` may reach the short way."""

from fastapi.routing import APIRoute


class JsonRoute(APIRoute):
    """A route that needs nothing but a JSON body and optional headers."""
