"""Real files of tests/data, as the tests send them."""

import base64
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"

ASTRONAUT = (DATA / "astronaut.png").read_bytes()
ROCKET = (DATA / "rocket.jpg").read_bytes()


def b64(data: bytes) -> str:
    """Return ``data`` as the JSON endpoints take it."""
    return base64.b64encode(data).decode()
