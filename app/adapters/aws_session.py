"""The AWS SDK's session, with TLS that verifies the peer.

aiobotocore takes its TLS context from botocore, which relies on urllib3 to check the host's name.
aiohttp, which replaces urllib3 here, checks only what the context requires, and through a proxy no
certificate at all. It also follows redirects, which botocore forbids urllib3.
"""

from functools import cache
from typing import Any

import aioboto3
import aiobotocore.session
import aiohttp
import botocore.session
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore.httpsession import get_cert_path
from botocore.loaders import Loader, create_loader

from app.adapters.trust import trusted


class _WithoutRedirects:
    """An aiohttp session that does not follow redirects."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:  # noqa: ANN401 - aiohttp's
        """Send as aiohttp does; a redirect is not followed."""
        return await self._session.request(*args, allow_redirects=False, **options)


# aiobotocore documents no way to do this, so the stubs lack it.
_Session: Any = AIOHTTPSession
_Config: Any = AioConfig


class CheckedSession(_Session):  # type: ignore[misc] # see above
    """Checks certificates and host names, also through a proxy, and follows no redirects."""

    def _create_connector(self, proxy_url: str | None) -> aiohttp.TCPConnector:  # noqa: ARG002 - the SDK's
        context = trusted(get_cert_path(self._verify or True))
        if self._cert_file:
            context.load_cert_chain(self._cert_file, self._key_file)
        return aiohttp.TCPConnector(
            limit=self._max_pool_connections, ssl=context, **self._connector_args
        )

    async def _get_session(self, proxy_url: str | None) -> _WithoutRedirects:
        return _WithoutRedirects(await super()._get_session(proxy_url))


class CheckedConfig(_Config):  # type: ignore[misc] # see above
    """A client's options, with a `CheckedSession` whatever they are merged with."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - the SDK's options
        super().__init__(http_session_cls=CheckedSession, **options)

    def merge(self, other_config: Any) -> "CheckedConfig":  # noqa: ANN401 - any of the SDK's
        """Return these options with those of ``other_config`` over them."""
        mine, others = self._user_provided_options, other_config._user_provided_options  # noqa: SLF001 - as the SDK's own
        return CheckedConfig(**{**mine, **others})


def aws_session() -> aioboto3.Session:
    """Return a session all of whose clients are checked, STS's for credentials among them."""
    session = _described(aiobotocore.session.get_session())
    session.set_default_client_config(CheckedConfig())
    return aioboto3.Session(botocore_session=session)


def regions() -> frozenset[str]:
    """Return every region that the SDK knows, of all of AWS's partitions: STS is in each."""
    sdk = _described(botocore.session.Session())
    return frozenset(
        region
        for partition in sdk.get_available_partitions()
        for region in sdk.get_available_regions("sts", partition)
    )


def _described(session: Any) -> Any:  # noqa: ANN401 - botocore's session, or aiobotocore's
    """Share the service descriptions that this process has read with ``session``."""
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(folders: str | None) -> Loader:
    # Each session would read the endpoints of all services for itself, a megabyte of JSON.
    return create_loader(folders)
