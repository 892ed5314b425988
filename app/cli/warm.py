"""``python -m app warm``: loads an imported model before it is needed."""

import argparse
import asyncio
import sys
import time

from app.domain.errors import ModelLoadingError, ServiceError
from app.domain.generation import CallContext, GenerationRequest, Role, Sampling, Turn
from app.services.registry import Services
from app.settings import load
from app.telemetry.logs import configure
from app.wiring.services import open_services

ATTEMPT_SECONDS = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--timeout",
        type=float,
        default=1_200,
        metavar="SECONDS",
        help="seconds after which it gives up",
    )


def run(parsed: argparse.Namespace) -> int:
    """Repeat a minimal call until it is answered; return 0 if it was, else 1."""
    configure("error")
    return asyncio.run(_run(parsed.timeout))


async def _run(most: float) -> int:
    began = time.monotonic()
    async with open_services(load()) as services:
        while (elapsed := time.monotonic() - began) < most:
            try:
                await _ask(services)
            except ModelLoadingError as error:
                sys.stdout.write(f"{elapsed:.0f} s: {error.detail}\n")
                sys.stdout.flush()
                await asyncio.sleep(min(5, error.retry_after or 5))
            except ServiceError as error:
                sys.stderr.write(f"{error.code}: {error.detail}\n")
                return 1
            else:
                sys.stdout.write(f"The model answers; it took {time.monotonic() - began:.0f} s.\n")
                return 0
    sys.stderr.write(f"The model does not answer after {most:.0f} s.\n")
    return 1


async def _ask(services: Services) -> None:
    deadline = asyncio.get_running_loop().time() + ATTEMPT_SECONDS
    request = GenerationRequest(
        turns=(Turn(Role.USER, "Hi"),),
        sampling=Sampling(max_gen_len=1),
        call_context=CallContext(deadline=deadline),
    )
    await services.generations.generate(request)
