"""Real picture files of tests/data."""

import base64
from pathlib import Path

DATA = Path(__file__).parents[2] / "data"

ASTRONAUT = (DATA / "astronaut.png").read_bytes()
ROCKET = (DATA / "rocket.jpg").read_bytes()


def b64(data: bytes) -> str:
    """Return ``data`` as base64, as the JSON endpoints accept it."""
    return base64.b64encode(data).decode()
