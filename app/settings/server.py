"""The service's address, time limits and capacity."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.settings.types import LEAST, MIB, MOST_SECONDS, Bytes, Processes, Seconds


class ServerSettings(BaseModel):
    """The service's address, time limits and capacity."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on.")] = 8000
    workers: Annotated[Processes, Field(description="Number of processes that serve.")] = 1
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Minimum severity of log lines."),
    ] = "info"
    request_timeout: Annotated[
        Seconds,
        Field(
            description="Maximum seconds from a request's arrival to its complete answer, "
            "waiting and all attempts included. A caller can ask for fewer with "
            "`X-Request-Timeout`, or for more, up to `max_request_timeout`."
        ),
    ] = 300
    max_request_timeout: Annotated[
        Seconds,
        Field(
            description="Maximum seconds that `X-Request-Timeout` can ask for. An imported "
            "model that was scaled to zero takes minutes to load."
        ),
    ] = 900
    heartbeat: Annotated[
        Seconds,
        Field(description="Seconds of silence after which a comment keeps a stream open."),
    ] = 15
    keep_alive: Annotated[
        Seconds,
        Field(
            description="Seconds for which a connection is kept open between two requests. It "
            "must be longer than the idle timeout of the load balancer in front (60 s for "
            "most), or the balancer sends requests over connections that are being closed."
        ),
    ] = 75
    shutdown_delay: Annotated[
        float,
        Field(
            ge=0,
            le=MOST_SECONDS,
            description="Seconds from SIGTERM, when readiness fails, until no new connection is "
            "accepted: the time a load balancer needs to notice.",
        ),
    ] = 0
    shutdown_idle: Annotated[
        Seconds,
        Field(
            description="Seconds after that during which an idle connection may still bring a "
            "request; the answer says that it was the last. It must be longer than the time "
            "for which the client or proxy in front keeps a connection idle, or that sends "
            "requests over connections that are being closed."
        ),
    ] = 3
    shutdown_grace: Annotated[
        Seconds,
        Field(
            description="Seconds for running requests to finish after that. Streams that are "
            "still open then get their terminal `error`."
        ),
    ] = 30
    max_body_bytes: Annotated[
        Bytes,
        Field(
            ge=LEAST,
            description="Maximum bytes of a request body. Base64 is a third larger than the file.",
        ),
    ] = 32 * MIB
    max_bytes_in_flight: Annotated[
        Bytes,
        Field(
            description="Maximum bytes of request bodies and fetched pictures in memory at a time, "
            "over all requests. Parsed JSON takes nearly three times its body's bytes."
        ),
    ] = 96 * MIB
    admission_timeout: Annotated[
        Seconds,
        Field(
            description="Maximum seconds that a request waits for its share of these bytes, "
            "or of the pixels in flight."
        ),
    ] = 10
    body_timeout: Annotated[
        Seconds,
        Field(
            description="Maximum seconds for a request's body to arrive once the request is "
            "admitted. A slow sender holds memory that others need."
        ),
    ] = 60
    body_least_rate: Annotated[
        Bytes,
        Field(
            description="Minimum average bytes per second of a body, from its tenth second on. "
            "A body that is announced and does not arrive is refused then."
        ),
    ] = 4096
