"""Checks of the settings before anything starts."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from app.adapters.access import key_file
from app.adapters.aws_session import regions
from app.adapters.bedrock.identity import variables
from app.adapters.tls_files import TlsFiles
from app.domain.model import Dialect, ModelIdentity
from app.services.usage import pricing
from app.settings import PREFIX, Settings, SettingsError
from app.wiring.model import server_key

log = structlog.get_logger()


def check(settings: Settings) -> None:
    """Raise SettingsError, with a line for each fault, if settings name something unusable.

    It runs before anything starts, as several workers would each fail by themselves.
    """
    faults = [*_file_faults(settings), _unknown_region(settings)]
    faults += _aws_faults(settings)
    if settings.usage_store == "sqlite" and (reason := unwritable(settings.usage_file)):
        faults.append(f"{PREFIX}USAGE_FILE: {reason}")
    named = "data_directory" in settings.model_fields_set
    if named and (reason := not_a_folder(settings.data_directory)):
        faults.append(f"{PREFIX}DATA_DIRECTORY: {reason}")
    _raise(faults)


def check_files(settings: Settings) -> None:
    """Raise SettingsError, with a line for each fault, if a configured file can't be read."""
    _raise(_file_faults(settings))


def _raise(faults: Iterable[str | None]) -> None:
    if lines := [fault for fault in faults if fault]:
        raise SettingsError("\n".join(lines))


def _file_faults(settings: Settings) -> list[str | None]:
    keys_file = settings.keys_file if settings.authenticates else None
    return [
        _fault("keys_file", key_file.read, keys_file),
        _fault("prices_file", pricing.load, settings.prices_file),
        _fault("encryption_key_file", _root_keys, settings.encryption_key_file),
        _fault("receipt_key_file", _signing_keys, settings.receipt_key_file),
        _fault("openai_key_file", server_key, settings.openai_key_file),
        _tls_fault(settings),
    ]


def _root_keys(path: Path) -> None:
    # Imported only if there is such a file, as cryptography takes time to load.
    from app.adapters.encryption import root_file

    root_file.read(path)


def _signing_keys(path: Path) -> None:
    from app.adapters.receipts import signing_keys

    signing_keys.lines(path)


def _fault(name: str, read: Callable[[Path], object], path: Path | None) -> str | None:
    try:
        if path is not None:
            read(path)
    except OSError as error:
        return f"{PREFIX}{name.upper()}: {path}: {error.strerror}"
    except ValueError as error:
        return f"{PREFIX}{name.upper()}: {error}"
    return None


def _tls_fault(settings: Settings) -> str | None:
    if settings.tls_files is None:
        return None
    try:
        TlsFiles(*settings.tls_files).context()
    except OSError as error:
        path = Path(error.filename)
        name = {settings.tls_key_file: "KEY", settings.tls_client_ca_file: "CLIENT_CA"}.get(path)
        return f"{PREFIX}TLS_{name or 'CERTIFICATE'}_FILE: {path}: {error.strerror}"
    except ValueError as error:
        return f"{PREFIX}TLS_CERTIFICATE_FILE: {error}"
    return None


def _aws_faults(settings: Settings) -> list[str | None]:
    endpoint = (
        f"{settings.endpoint_url or f'https://bedrock-runtime.{settings.region}.amazonaws.com'}"
    )
    return [
        _aws_fault(variables.check_profile),
        _aws_fault(variables.check_api_key),
        _aws_fault(variables.check_keys),
        _aws_fault(variables.check_authorities),
        _aws_fault(lambda: variables.check_proxy(endpoint)),
    ]


def _aws_fault(check: Callable[[], None]) -> str | None:
    try:
        check()
    except ValueError as error:
        return str(error)
    return None


def unwritable(path: Path) -> str | None:
    """Return why SQLite can't write usage to ``path``, or None; the check changes nothing."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"{folder} does not exist"
    if path.is_dir():
        return f"{path} is a folder, not a file"
    # SQLite writes more files beside it.
    if not (os.access(folder, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))):
        return f"{path} can't be written by this user"
    return None


def not_a_folder(path: Path) -> str | None:
    """Return why ``path`` can't be a writable folder, or None; the check does not create it."""
    nearest = next(
        folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists()
    )
    if not nearest.is_dir():
        return f"{nearest} is not a folder"
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"{nearest} can't be written by this user"
    return None


def _unknown_region(settings: Settings) -> str | None:
    """Return a line for each region that AWS does not have; `endpoint_url` allows any."""
    # The SDK lists no regions if the named profile is missing, which has a line of its own.
    if settings.endpoint_url is not None or _aws_fault(variables.check_profile):
        return None
    known = regions()
    named = [("REGION", settings.region), ("IMAGE_S3_REGION", settings.image_s3_region)]
    named += [
        ("FALLBACKS", target.region)
        for target in settings.targets[1:]
        if target.dialect is not Dialect.OPENAI
    ]
    named += [("SUCCESSORS", target.region) for target in settings.successor_targets]
    named += [("KNOWLEDGE_BASES", base.region) for base in settings.knowledge_bases.values()]
    named += [("GUARDRAIL_REGION", settings.guardrail_region)]
    named += [("FILES_REGION", settings.files_region)]
    named += [("RESIDENCY", region) for region in settings.residency]
    lines = [
        f"{PREFIX}{name}: AWS has no region {region!r}"
        for name, region in named
        if region is not None and region not in known
    ]
    return "\n".join(dict.fromkeys(lines)) or None


def announce(identity: ModelIdentity, settings: Settings) -> None:
    """Log the served model, and a warning if it is an alias or not offered in the region."""
    log.info(
        "model configured",
        model=identity.id,
        kind=identity.kind,
        region=settings.region,
        dialect=settings.dialect_choice.dialect,
        reason=settings.dialect_choice.reason,
    )
    if identity.alias:
        log.warning("model id is an alias", configured=identity.alias, model=identity.id)
    if identity.region is None and settings.region not in identity.base.regions:
        log.warning(
            "model is not offered in this region",
            region=settings.region,
            offered=identity.base.regions,
        )
