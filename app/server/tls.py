"""The service's TLS, from files that may be replaced while it serves."""

import asyncio
import ssl

import structlog

from app.adapters.tls_files import TlsFiles

log = structlog.get_logger()


class ReloadedTls:
    """One context for a server's life; new connections use the files' last good state.

    Open connections keep the certificate with which they began.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Read the files. Raises OSError or ValueError."""
        self._files = files
        self._read = files.fingerprint()
        self._current = files.context()
        self.context = files.context()
        # This is called for clients that send no server name, too.
        self.context.sni_callback = self._use_current

    def give(self, *_: object) -> ssl.SSLContext:
        """Return the context; uvicorn calls this as its factory."""
        return self.context

    async def watch(self, seconds: float) -> None:
        """Check every ``seconds`` whether a file has changed, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Read the files again if they have changed; log once if they can't be used."""
        now = self._files.fingerprint()
        if now == self._read:
            return
        self._read = now
        try:
            self._current = self._files.context()
        except (OSError, ValueError) as error:
            log.error("certificate not reloaded", reason=str(error))
        else:
            log.info("certificate reloaded", file=str(self._files.certificate))

    def _use_current(
        self, connection: ssl.SSLObject, _name: str | None, _initial: ssl.SSLContext
    ) -> None:
        connection.context = self._current
