"""Vision tasks, each in one file of data and pure functions, and the list of all of them."""

from typing import Any

from app.services.tasks.caption import CAPTION
from app.services.tasks.chart import CHART
from app.services.tasks.classify import CLASSIFY
from app.services.tasks.compare import COMPARE
from app.services.tasks.diagram import DIAGRAM
from app.services.tasks.document_qa import DOCUMENT_QA
from app.services.tasks.extract import EXTRACT
from app.services.tasks.grounding import GROUNDING
from app.services.tasks.inspection import INSPECTION
from app.services.tasks.ocr import OCR
from app.services.tasks.reasoning import REASONING
from app.services.tasks.retrieval import RETRIEVAL
from app.services.tasks.spec import Task
from app.services.tasks.vqa import VQA

TASKS: tuple[Task[Any, Any], ...] = (
    CAPTION,
    VQA,
    REASONING,
    DOCUMENT_QA,
    OCR,
    EXTRACT,
    GROUNDING,
    CHART,
    DIAGRAM,
    INSPECTION,
    RETRIEVAL,
    CLASSIFY,
    COMPARE,
)
