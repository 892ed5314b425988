"""The hops of data: a provider for each kind."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.adapters.access.issuer import Issuer
from app.adapters.bedrock.locations import Locations, bucket
from app.domain.control_plane import ControlPlaneError
from app.domain.errors import IdentityProviderError
from app.domain.model import identify
from app.domain.residency import HERE, HopKind, Location, region_of
from app.services.residency.sentinel import Hop
from app.settings import PREFIX, Settings, is_loopback
from app.wiring.access import issuer
from app.wiring.encryption import kms_region

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Lookup:
    """The sources of information for hop providers."""

    settings: Settings
    locations: Locations
    s3: "S3Client"

    def declared(self, name: str) -> tuple[str, ...]:
        """Return the operator's declaration for the hop ``name``."""
        return self.settings.residency_declared.get(name, ())


def model_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield the model of each target, fallback and successor."""
    for target in lookup.settings.every_target:
        name = f"{target.region}/{target.model_id}"
        if not target.dialect.is_bedrock:
            yield Hop(
                HopKind.MODEL,
                name,
                partial(_declared, lookup, f"model {name}", target.region),
                target,
            )
            continue
        identity = identify(target.model_id, lookup.settings.identity.base.key)
        resolve = partial(lookup.locations.model, target, identity)
        yield Hop(HopKind.MODEL, name, resolve, target)


def bucket_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield each bucket that pictures are read from."""
    for name in dict.fromkeys(b.partition("/")[0] for b in lookup.settings.image_s3_buckets or ()):
        yield Hop(HopKind.BUCKET, name, partial(bucket, lookup.s3, name))


def key_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield the KMS key that encrypts callers' data."""
    key = lookup.settings.encryption_kms_key
    if key is not None:
        region = kms_region(key, lookup.settings.region)
        source = "the key's ARN" if region_of(key) else "the region that KMS is called in"
        yield Hop(HopKind.KEY, "kms", partial(_fixed_location, Location((region,), source)))


def guardrail_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield the guardrail. Inline checks have no id; they run in the region that is called."""
    settings = lookup.settings
    if settings.guardrail_kind is None:
        return
    region = settings.guardrail_region or settings.region
    if settings.guardrail_id is None:
        location = Location((region,), "the region that checks are called in")
        yield Hop(HopKind.GUARDRAIL, "checks", partial(_fixed_location, location))
        return
    # A suffix after a point names a fault of the emulator.
    name = settings.guardrail_id.partition(".")[0]
    declared = lookup.declared(f"guardrail {name}")
    resolve = partial(lookup.locations.guardrail, region, name, declared)
    yield Hop(HopKind.GUARDRAIL, name, resolve)


def knowledge_base_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield each knowledge base, its embedding model and its index."""
    settings = lookup.settings
    for base in settings.knowledge_bases_in(settings.region).values():
        resolve = partial(lookup.locations.knowledge_base, base.region, base.id)
        yield Hop(HopKind.KNOWLEDGE_BASE, base.id, resolve)


def kept_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield the buckets of files, of batch jobs and of audit heads."""
    settings = lookup.settings
    names = [settings.files_bucket, settings.audit_heads_bucket]
    if settings.batch_jobs_location is not None:
        names.append(settings.batch_jobs_location.removeprefix("s3://"))
    for name in dict.fromkeys(n.partition("/")[0] for n in names if n is not None):
        yield Hop(HopKind.BUCKET, name, partial(bucket, lookup.s3, name))


def store_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield Redis and PostgreSQL, if a setting selects them as a store."""
    settings = lookup.settings
    used = {
        getattr(settings, name) for name in type(settings).model_fields if name.endswith("_store")
    }
    for name, url in (("redis", settings.redis_url), ("postgres", settings.postgres_url)):
        if url is not None and name in used:
            host = urlsplit(url.get_secret_value()).hostname or ""
            yield Hop(HopKind.STORE, name, partial(_declared, lookup, f"store {name}", host))


def telemetry_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield the places that traces and metrics are sent to, one or two."""
    settings = lookup.settings
    sent = (("traces", settings.traces), ("metrics", settings.otlp_metrics))
    hops = [_telemetry(signal) for signal, wanted in sent if wanted]
    for name, host in dict.fromkeys(hops):
        yield Hop(HopKind.TELEMETRY, name, partial(_declared, lookup, f"telemetry {name}", host))


def _telemetry(signal: str) -> tuple[str, str]:
    """Return the name and the host of the collector that OpenTelemetry's variables name."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
    common = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or "http://localhost:4318"
    return (f"otlp {signal}", _host(own)) if own else ("otlp", _host(common))


def endpoint_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield each host that is called instead of AWS's own address."""
    settings = lookup.settings
    fields = [name for name in type(settings).model_fields if name.endswith("endpoint_url")]
    urls = [str(getattr(settings, name)) for name in fields if getattr(settings, name)]
    for host in dict.fromkeys(map(_host, urls)):
        yield _declared_hop(lookup, HopKind.ENDPOINT, host)


def issuer_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield the hosts of the token issuer and of its keys."""
    settings = lookup.settings
    urls = [url for url in (settings.oidc_issuer, settings.oidc_jwks_url) if url is not None]
    for host in dict.fromkeys(map(_host, urls)):
        yield _declared_hop(lookup, HopKind.ISSUER, host)
    configured = issuer(settings)
    if configured is not None and configured.jwks_url is None:
        yield Hop(HopKind.ISSUER, "keys", partial(_keys_location, lookup, configured))


def source_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield each host that pictures may be fetched from, as the setting spells it."""
    for host in lookup.settings.image_url_hosts or ():
        yield _declared_hop(lookup, HopKind.SOURCE, host)


def webhook_hops(lookup: Lookup) -> Iterator[Hop]:
    """Yield each host that webhooks may be sent to, as the setting spells it."""
    for host in lookup.settings.webhook_hosts or ():
        yield _declared_hop(lookup, HopKind.WEBHOOK, host)


HopProvider = Callable[[Lookup], Iterable[Hop]]
PROVIDERS: tuple[HopProvider, ...] = (
    model_hops,
    bucket_hops,
    kept_hops,
    guardrail_hops,
    knowledge_base_hops,
    key_hops,
    store_hops,
    telemetry_hops,
    endpoint_hops,
    issuer_hops,
    source_hops,
    webhook_hops,
)
"""The providers of hops: everything that sends data somewhere has one here."""


def _declared_hop(lookup: Lookup, kind: HopKind, host: str) -> Hop:
    """Return a hop that AWS can't be asked about; ``host`` may have a port."""
    resolve = partial(_declared, lookup, f"{kind} {host}", _host(f"//{host}"))
    return Hop(kind, host, resolve)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


async def _fixed_location(location: Location) -> Location:
    return location


async def _declared(lookup: Lookup, name: str, host: str) -> Location:
    """Return the declared location of a hop that AWS can't be asked about."""
    regions = lookup.declared(name)
    if regions:
        return Location(regions, "declared")
    if is_loopback(host):
        return Location((HERE,), "its address is a loopback one")
    return Location((), f'not declared; name it in {PREFIX}RESIDENCY_DECLARED as "{name}"')


async def _keys_location(lookup: Lookup, issuer: Issuer) -> Location:
    """Return the declared location of the host where the issuer's configuration puts its keys."""
    from app.adapters.access.tokens import discovered_keys

    declared = lookup.declared(f"{HopKind.ISSUER} keys")
    if declared:
        return Location(declared, "declared")
    try:
        host = _host(await discovered_keys(issuer))
    except IdentityProviderError as error:
        raise ControlPlaneError(error.detail) from error
    location = await _declared(lookup, f"{HopKind.ISSUER} {host}", host)
    return replace(location, source=f"{host}, by the issuer's configuration: {location.source}")
