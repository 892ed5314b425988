"""Evidence for answers, and the maximum length of documents."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.settings.types import Processes, is_installed


class EvidenceSettings(BaseModel):
    """Evidence for answers, and the maximum length of documents."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    evidence_engine: Annotated[
        Literal["off", "rapidocr"],
        Field(
            description="OCR engine that reads pictures a second time, as evidence for answers "
            "of tasks. It takes one to six seconds of CPU for each page, and needs the extra "
            "`ocr`."
        ),
    ] = "off"
    evidence_workers: Annotated[
        Processes,
        Field(description="Number of OCR processes, each of about 560 MiB."),
    ] = 1
    max_pages: Annotated[
        int,
        Field(
            gt=0,
            le=1000,
            description="Maximum pages of all documents of one task request; each takes at "
            "least one call of the model.",
        ),
    ] = 50
    max_job_pages: Annotated[
        int,
        Field(
            gt=0,
            le=1000,
            description="The same for a task that runs as an asynchronous job.",
        ),
    ] = 1000

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        if self.evidence_engine != "off" and not (
            is_installed("rapidocr") and is_installed("onnxruntime")
        ):
            raise ValueError(
                "evidence_engine: rapidocr needs the extra ocr: pip install "
                "'llama-vision-service[ocr]'"
            )
        return self

    @model_validator(mode="after")
    def _check_pages(self) -> Self:
        if self.max_job_pages < self.max_pages:
            raise ValueError("max_job_pages: is less than max_pages")
        return self
