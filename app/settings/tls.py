"""The certificate that the service shows, and those that it asks of callers."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.settings.types import Seconds


class TlsSettings(BaseModel):
    """The certificate that the service shows, and those that it asks of callers."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    tls_certificate_file: Annotated[
        Path | None,
        Field(
            description="PEM file of the service's certificate and those that signed it, the "
            "service's first. With it the service speaks HTTPS only. Read again as it changes."
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
            description="PEM file of authorities for mutual TLS: a caller without a certificate "
            "that one of them signed gets no connection. Unset: none is asked for."
        ),
    ] = None
    tls_reload: Annotated[
        Seconds, Field(description="Seconds between checks whether these files changed.")
    ] = 2

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        for name in ("tls_key_file", "tls_client_ca_file"):
            if getattr(self, name) is not None and self.tls_certificate_file is None:
                raise ValueError(f"{name}: is set, but tls_certificate_file is missing")
        return self

    @property
    def tls_files(self) -> tuple[Path, Path | None, Path | None] | None:
        """Certificate, key and clients' authorities; None where the service speaks plain HTTP."""
        if self.tls_certificate_file is None:
            return None
        return self.tls_certificate_file, self.tls_key_file, self.tls_client_ca_file
