"""A web server that misbehaves in every way that a caller's URL may meet."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

CHUNK = bytes(64 * 1024)


@dataclass
class HostileServer:
    """Serves ``files`` by path, misbehaves under other paths, and records its requests."""

    files: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """Path without its slash -> content and content type."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Host header and path of each request."""
    headers: list[dict[str, str]] = field(default_factory=list)
    chunks_sent: int = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/redirect", self._redirect),
                Route("/loop/{left:int}", self._loop),
                Route("/endless", self._endless),
                Route("/drip", self._drip),
                Route("/silence", self._silence),
                Route("/gzip", self._gzip),
                Route("/claims/{length:int}", self._claims),
                Route("/cut", self._cut),
                Route("/status/{status:int}", self._status),
                Route("/{path:path}", self._file),
            ]
        )

    def _note(self, request: Request) -> None:
        self.asked.append((request.headers["host"], request.url.path))
        self.headers.append(dict(request.headers))

    async def _file(self, request: Request) -> Response:
        self._note(request)
        path = request.path_params["path"]
        if path not in self.files:
            return Response("no such file", 404)
        content, content_type = self.files[path]
        response = Response(content)
        if content_type:
            response.headers["content-type"] = content_type
        return response

    async def _redirect(self, request: Request) -> Response:
        self._note(request)
        answer = RedirectResponse(request.query_params["to"])
        answer.set_cookie("tracked", "yes")
        return answer

    async def _loop(self, request: Request) -> Response:
        self._note(request)
        left = request.path_params["left"]
        return RedirectResponse(f"/loop/{left - 1}" if left > 1 else "/picture.png")

    async def _endless(self, request: Request) -> Response:
        self._note(request)

        async def body() -> AsyncIterator[bytes]:
            while True:
                self.chunks_sent += 1
                yield CHUNK
                # Otherwise the server would never notice that its client has disconnected.
                await asyncio.sleep(0)

        return StreamingResponse(body(), media_type="image/png")

    async def _drip(self, request: Request) -> Response:
        self._note(request)

        async def body() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(0.02)

        return StreamingResponse(body(), media_type="image/png")

    async def _silence(self, request: Request) -> Response:
        self._note(request)
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()

    async def _gzip(self, request: Request) -> Response:
        self._note(request)
        return Response(b"x", headers={"content-type": "image/png", "content-encoding": "gzip"})

    async def _claims(self, request: Request) -> Response:
        self._note(request)
        length = str(request.path_params["length"])

        async def body() -> AsyncIterator[bytes]:
            while True:
                self.chunks_sent += 1
                yield b"x"
                await asyncio.sleep(0.02)

        return StreamingResponse(
            body(), headers={"content-length": length, "content-type": "image/png"}
        )

    async def _cut(self, request: Request) -> Response:
        self._note(request)
        # Fewer bytes than announced: uvicorn drops the connection.
        return StreamingResponse(
            iter([b"x"]), headers={"content-length": "100", "content-type": "image/png"}
        )

    async def _status(self, request: Request) -> Response:
        self._note(request)
        return Response(status_code=request.path_params["status"])
