"""The service's TLS certificate, and the certificates that it requires of clients."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.settings.types import Seconds


class TlsSettings(BaseModel):
    """The service's TLS certificate, and the certificates that it requires of clients."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    tls_certificate_file: Annotated[
        Path | None,
        Field(
            description="PEM file of the service's certificate, followed by those that signed "
            "it. If set, the service speaks HTTPS only. Reloaded when it changes."
        ),
    ] = None
    tls_key_file: Annotated[
        Path | None,
        Field(
            description="PEM file of the certificate's private key, without a password. Unset: the "
            "key is in the certificate's file."
        ),
    ] = None
    tls_client_ca_file: Annotated[
        Path | None,
        Field(
            description="PEM file of certificate authorities for mutual TLS: a client without a "
            "certificate signed by one of them can't connect. Unset: clients need no "
            "certificate."
        ),
    ] = None
    tls_reload: Annotated[
        Seconds, Field(description="Seconds between checks for changes to these files.")
    ] = 2

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        for name in ("tls_key_file", "tls_client_ca_file"):
            if getattr(self, name) is not None and self.tls_certificate_file is None:
                raise ValueError(f"{name}: is set, but tls_certificate_file is missing")
        return self

    @property
    def tls_files(self) -> tuple[Path, Path | None, Path | None] | None:
        """The certificate, its key and the clients' authorities; None for plain HTTP."""
        if self.tls_certificate_file is None:
            return None
        return self.tls_certificate_file, self.tls_key_file, self.tls_client_ca_file
