"""``python -m app serve``: runs the service in front of Amazon Bedrock."""

import asyncio

from app import telemetry
from app.cli import workers
from app.main import create_app
from app.server.serving import Server
from app.settings import load
from app.wiring.preflight import check
from app.wiring.residency import check_residency
from app.wiring.services import open_services


def run() -> int:
    """Serve until SIGTERM or SIGINT; return 0 if the service has started, else 1."""
    settings = load()
    check(settings)
    telemetry.configure(settings.log_level)
    asyncio.run(check_residency(settings))
    if settings.workers > 1:
        return workers.run(settings)
    server = Server(create_app(settings, open_services), settings)
    server.run()
    return 0 if server.started else 1
