"""The emulator as an ASGI application: one port for the runtime, the control plane and itself."""

import logging
from urllib.parse import unquote_to_bytes

import orjson

from app.emulator import catalogue, vocabulary
from app.emulator.catalogue import Route
from app.emulator.config import EmulatorConfig
from app.emulator.errors import UNKNOWN_OPERATION, AwsError
from app.emulator.exchange import ClientLeftError, Exchange, Receive, Request, Scope, Send
from app.emulator.inference import OPERATIONS, Inference, request_id
from app.emulator.mind import Mind

_log = logging.getLogger(__name__)


class Emulator:
    """A stand-in for Amazon Bedrock. Made by `create_emulator`; holds all of its state."""

    def __init__(self, config: EmulatorConfig) -> None:
        self._config = config
        self._vocabulary = vocabulary.load()
        self._mind = Mind(config, self._vocabulary)
        self._inference = Inference(config, self._mind)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(Exchange(scope, receive, send))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._mind.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self._route(exchange, await exchange.request())
        except AwsError as error:
            await exchange.reply(error.kind.status, [*error.headers, request_id()], error.body)
        except ClientLeftError:
            _log.debug("the caller left")

    async def _route(self, exchange: Exchange, request: Request) -> None:
        parts = request.path.split(b"/")
        if request.path == b"/_emulator/health":
            body = orjson.dumps({"status": "ok", "vocabulary": self._vocabulary.name})
            await exchange.reply(200, [(b"content-type", b"application/json")], body)
        elif len(parts) == 4 and parts[1] == b"model" and parts[3].decode() in OPERATIONS:
            await self._infer(exchange, request, parts[2], parts[3])
        else:
            raise AwsError(UNKNOWN_OPERATION)

    async def _infer(
        self, exchange: Exchange, request: Request, model: bytes, operation: bytes
    ) -> None:
        target = catalogue.resolve(unquote_to_bytes(model).decode(errors="replace"))
        if target.route is Route.FOUNDATION and not self._config.allow_bare_model_id:
            raise catalogue.on_demand_refused(target)
        await self._inference.serve(exchange, OPERATIONS[operation.decode()], request)


def create_emulator(config: EmulatorConfig | None = None) -> Emulator:
    """Return an emulator, ready to be served by uvicorn. Reads the vocabulary: half a second."""
    return Emulator(config or EmulatorConfig())
