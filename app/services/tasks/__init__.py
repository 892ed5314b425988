"""Vision tasks: each one file of data and pure functions, listed here."""

from typing import Any

from app.services.tasks.caption import CAPTION
from app.services.tasks.extract import EXTRACT
from app.services.tasks.grounding import GROUNDING
from app.services.tasks.ocr import OCR
from app.services.tasks.spec import Task
from app.services.tasks.vqa import VQA

TASKS: tuple[Task[Any, Any], ...] = (CAPTION, VQA, OCR, EXTRACT, GROUNDING)
