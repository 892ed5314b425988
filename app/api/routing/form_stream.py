"""A multipart form whose file is streamed and never completely in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from pydantic import PrivateAttr
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.api.routing.multipart import FormFile
from app.domain.errors import MalformedBodyError
from app.services.deferred_model import DeferredModel

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_FIELDS = 50
LONGEST_FIELD = 16 * 1024
"""Maximum bytes of a field."""
T = TypeVar("T")
Chunks = AsyncIterator[bytes]
TakeFile = Callable[[dict[str, str], FormFile, Chunks], Awaitable[T]]
"""Takes the fields that came before the file, the file's name and type, and its bytes in chunks."""


class StreamedForm(DeferredModel):
    """A form with a file ``file``; its declared fields are validated once all of it has arrived."""

    _stream: "FormStream" = PrivateAttr()

    @classmethod
    def arriving(cls, content_type: bytes, receive: Receive) -> Self:
        """Return the form whose body is about to arrive. Raises MalformedBodyError."""
        form = cast("Self", cls.model_construct())
        form._stream = FormStream(content_type, receive)  # noqa: SLF001 - its own class's
        return form

    async def read(self, take: TakeFile[T]) -> tuple[dict[str, Any], T | None]:
        """Let ``take`` read the file; return all fields and the result of ``take``.

        The fields include the file, without its bytes. Raises MalformedBodyError, and what ``take``
        raises.
        """
        return await self._stream.read(take)


@dataclass(slots=True)
class _Part:
    name: str
    file: FormFile | None
    data: bytearray = field(default_factory=bytearray)
    """Bytes that have arrived and were not passed on yet."""
    ended: bool = False


class FormStream:
    """Parses a form only as far as it is read."""

    def __init__(self, content_type: bytes, receive: Receive) -> None:
        """Raise MalformedBodyError if ``content_type`` has no boundary."""
        _, parameters = parse_options_header(content_type)
        if b"boundary" not in parameters:
            raise _malformed("its Content-Type has no boundary")
        self._receive = receive
        self._arrived = _Arrived()
        try:
            self._parser = MultipartParser(parameters[b"boundary"], self._arrived.callbacks())
        except FormParserError as error:
            raise _malformed(str(error)) from error

    async def read(self, take: TakeFile[T]) -> tuple[dict[str, Any], T | None]:
        """Return all fields and the result of ``take``, None if there was no file."""
        fields: dict[str, Any] = {}
        result: T | None = None
        parts = 0
        while (part := await self._next()) is not None:
            parts += 1
            # Counted by parts, since one name may be repeated without end.
            if parts > MOST_FIELDS:
                raise _malformed(f"it has more than {MOST_FIELDS} fields")
            if part.file is None:
                fields[part.name] = await self._text(part)
            elif "file" in fields or part.name != "file":
                raise _malformed('it has a file in another field than "file"')
            else:
                fields[part.name] = part.file
                texts = {name: value for name, value in fields.items() if isinstance(value, str)}
                result = await take(texts, part.file, self._chunks(part))
                async for _ in self._chunks(part):
                    pass
        return fields, result

    async def _next(self) -> _Part | None:
        """Return the next part once its head has arrived; None at the form's end."""
        while not self._arrived.parts:
            if self._arrived.ended:
                return None
            await self._more()
        return self._arrived.parts.pop(0)

    async def _text(self, part: _Part) -> str:
        while not part.ended:
            if len(part.data) > LONGEST_FIELD:
                raise _malformed("a field is too long")
            await self._more()
        return part.data.decode("utf-8", "replace")

    async def _chunks(self, part: _Part) -> Chunks:
        while True:
            if part.data:
                chunk = bytes(part.data)
                part.data.clear()
                yield chunk
            if part.ended and not part.data:
                return
            if not part.data:
                await self._more()

    async def _more(self) -> None:
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        try:
            self._parser.write(message.get("body", b""))
        except FormParserError as error:
            raise _malformed("invalid multipart data") from error
        if not message.get("more_body") and not self._arrived.ended:
            raise _malformed("it breaks off before its closing boundary")


class _Arrived:
    """The parsed parts, kept outside the parser to avoid a reference cycle."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        """Parts that were not read yet."""
        self.ended = False
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""

    def callbacks(self) -> "MultipartCallbacks":
        """Return the parser's callbacks."""
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            raise _malformed('a part\'s Content-Disposition has no "name"')
        name = options[b"name"].decode("utf-8", "replace")
        file = None
        if b"filename" in options:
            kind = self._headers.get(b"content-type")
            declared = None if kind is None else kind.decode("latin-1")
            file = FormFile(options[b"filename"].decode("utf-8", "replace"), declared, b"")
        self._current = _Part(name, file)
        self.parts.append(self._current)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._current.data += data[start:end]

    def _on_part_end(self) -> None:
        self._current.ended = True

    def _on_end(self) -> None:
        self.ended = True


def _malformed(reason: str) -> MalformedBodyError:
    return MalformedBodyError(f"the body can't be read: {reason}")
