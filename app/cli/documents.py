"""``python -m app openapi | tasks | settings``: prints documents generated from the code."""

import sys

import orjson

from app.api.v1.tasks import documentation as tasks_documentation
from app.main import create_app
from app.settings import Settings
from app.settings import documentation as settings_documentation
from app.wiring.services import open_services


def openapi() -> int:
    """Print the OpenAPI document; nothing is opened and no configuration is needed."""
    document = create_app(Settings.model_construct(), open_services).openapi()
    return _print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def tasks() -> int:
    """Print docs/tasks.md."""
    return _print(tasks_documentation.document())


def settings() -> int:
    """Print docs/settings.md."""
    return _print(settings_documentation.document())


def _print(document: str) -> int:
    sys.stdout.write(document + "\n")
    return 0
