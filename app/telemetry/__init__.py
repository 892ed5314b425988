"""Logs, metrics and spans for operators. Imports nothing of app.

Code that learns something about a request writes it into `current()`; when the request ends, its
record is rendered as a log line, as metrics, as an EMF line and as a row of usage.
"""

from app.telemetry.logs import configure, frames_only
from app.telemetry.record import RequestRecord, Sink, current, recording, stage

__all__ = [
    "RequestRecord",
    "Sink",
    "configure",
    "current",
    "frames_only",
    "recording",
    "stage",
]
