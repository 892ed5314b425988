"""Wraps everything that sends data, so that places outside the allowed regions are not used."""

from dataclasses import replace

from app.domain.ports import BatchJobs, Guardrail, Retriever
from app.services.files.service import FileService
from app.services.generation.image_sources import ImageSources
from app.services.residency.models import ResidentBuckets, ResidentModel
from app.services.residency.places import (
    ResidentBatchJobs,
    ResidentFiles,
    ResidentGuardrail,
    ResidentRetriever,
)
from app.services.residency.sentinel import ResidencySentinel
from app.settings import Settings
from app.wiring.model import Upstreams


def resident_retriever(retriever: Retriever, sentinel: ResidencySentinel) -> Retriever:
    """Return a retriever that asks no knowledge base outside the allowed regions."""
    return ResidentRetriever(retriever, sentinel) if _stops(sentinel) else retriever


def resident_guardrail(guardrail: Guardrail, sentinel: ResidencySentinel) -> Guardrail:
    """Return a guardrail that is not called while it is outside."""
    return ResidentGuardrail(guardrail, sentinel) if _stops(sentinel) else guardrail


def resident_files(
    files: FileService, settings: Settings, sentinel: ResidencySentinel
) -> FileService:
    """Return a file service that keeps nothing in a bucket outside."""
    bucket = (settings.files_bucket or "").partition("/")[0]
    if settings.files_store != "s3" or not _stops(sentinel):
        return files
    return replace(files, store=ResidentFiles(files.store, bucket, sentinel))


def resident_jobs(
    jobs: BatchJobs | None, settings: Settings, sentinel: ResidencySentinel
) -> BatchJobs | None:
    """Return batch jobs that do not begin while their bucket or model is outside."""
    place = settings.batch_jobs_place
    if jobs is None or place is None or not _stops(sentinel):
        return jobs
    return ResidentBatchJobs(jobs, place[0], settings.targets[0], sentinel)


def _stops(sentinel: ResidencySentinel) -> bool:
    """Tell whether any place may ever be blocked."""
    return sentinel.enforces and bool(sentinel.hops)


def resident(upstreams: Upstreams, sentinel: ResidencySentinel) -> Upstreams:
    """Return ``upstreams`` whose models refuse calls while they are outside."""
    if not _stops(sentinel):
        return upstreams
    return lambda target: ResidentModel(upstreams(target), target, sentinel)


def resident_sources(sources: ImageSources, sentinel: ResidencySentinel) -> ImageSources:
    """Return ``sources`` that read no bucket outside."""
    if not _stops(sentinel):
        return sources
    return replace(sources, objects=ResidentBuckets(sources.objects, sentinel))
