"""The sources, limits and preparation of pictures."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.settings.types import (
    LEAST,
    MIB,
    MOST,
    Bytes,
    Count,
    Endpoint,
    Names,
    Processes,
    Region,
    Seconds,
    check_buckets,
    check_hosts,
)


class ImageSettings(BaseModel):
    """The sources, limits and preparation of pictures."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    max_image_bytes: Annotated[
        Bytes, Field(ge=LEAST, description="Maximum bytes of one picture as received.")
    ] = 20 * MIB
    max_image_pixels: Annotated[
        Count,
        Field(
            ge=LEAST,
            description="Maximum pixels of one picture as received, read from its header.",
        ),
    ] = 100_000_000
    max_pixels_in_flight: Annotated[
        Count,
        Field(
            description="Maximum pixels of all pictures that are being prepared at the same time."
        ),
    ] = 200_000_000
    image_workers: Annotated[
        Processes,
        Field(
            description="Number of processes that decode pictures, each limited to 1 GiB of memory."
        ),
    ] = 2
    image_workers_wait: Annotated[
        bool,
        Field(
            description="Whether those processes start when the first picture has to be "
            "decoded, rather than before the service is ready. It shortens the start on one "
            "core, as on Lambda; that picture waits about half a second."
        ),
    ] = False
    image_cache_bytes: Annotated[
        int,
        Field(
            ge=0,
            le=MOST,
            description="Maximum bytes of prepared pictures that are kept, so that a picture "
            "sent twice is prepared once. 0 keeps none.",
        ),
    ] = 32 * MIB
    image_url_hosts: Annotated[
        Names | None,
        Field(
            description="Hosts that pictures may be fetched from by URL, separated by commas: "
            "`host`, `host:port`, or `*.domain` for subdomains. Unset: no URLs."
        ),
    ] = None
    image_url_allow_http: Annotated[
        bool, Field(description="Whether picture URLs may be `http` as well as `https`.")
    ] = False
    image_s3_buckets: Annotated[
        Names | None,
        Field(
            description="Buckets that pictures may be read from, separated by commas: `bucket`, "
            "or `bucket/prefix` for the keys that start with the prefix. Unset: no S3."
        ),
    ] = None
    image_s3_region: Annotated[
        Region | None,
        Field(
            description="Region of those buckets. Unset: the model's region.",
        ),
    ] = None
    image_s3_owner: Annotated[
        str | None,
        Field(
            pattern=r"^\d{12}$",
            description="AWS account that must own the buckets, 12 digits. Unset: any account.",
        ),
    ] = None
    image_s3_endpoint_url: Annotated[
        Endpoint | None,
        Field(description="Address called instead of S3's own: a VPC endpoint, or another store."),
    ] = None
    image_source_timeout: Annotated[
        Seconds,
        Field(
            description="Maximum seconds to fetch one picture by URL or from S3, redirects "
            "included."
        ),
    ] = 10

    @model_validator(mode="after")
    def _check_lists(self) -> Self:
        check_hosts("image_url_hosts", self.image_url_hosts)
        check_buckets("image_s3_buckets", self.image_s3_buckets)
        return self
