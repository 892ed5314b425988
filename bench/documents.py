"""Drawn documents with known truth through the tasks, in front of the emulator.

    python -m bench.documents [--only receipt invoice] [--json FILE] [--mixed]

Each document goes through ocr, extract, document-qa and grounding, plain and with ``detail: high``.
Lines are compared with those drawn: a line is lost where no line of the answer is alike, and
doubled where two are. The emulator reads with an OCR engine, so what is lost plain is the engine's
misreading; what is lost or doubled with ``high`` beyond that is the service's. ``--mixed`` asks
about forty pages of PDFs, a TIFF and pictures in one request as well. Reading takes its minutes.
"""

import argparse
import base64
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from bench.micro.prompts import served
from fixtures.documents import Box, Document, documents

ALIKE = 0.8
"""Similarity from which a line of an answer is a line that was drawn."""
DETAILS = ("auto", "high")


@dataclass
class Score:
    """The outcome of one document with one detail."""

    document: str
    detail: str
    lines: int
    lost: int
    doubled: int
    fields: int
    fields_right: int
    answered: int
    """Answers to one question."""
    phrases: int
    located: int
    """Boxes with an IoU of 0.5 or more with the drawn ones."""
    iou: float
    """The mean IoU of the located boxes."""
    calls: int


def score(client: httpx.Client, document: Document, detail: str) -> Score:
    """Ask all four tasks about a document."""
    read = ask(client, "ocr", document, detail=detail)
    lost, doubled = compared(document.lines, read["result"]["text"].splitlines())
    fields = document.fields
    filled = (
        ask(client, "extract", document, schema=document.schema, detail=detail) if fields else None
    )
    told = filled["result"]["fields"] if filled else {}
    name = next(iter(fields), None)
    asked = ask(client, "document-qa", document, question=f"What is the {name}?", detail=detail)
    phrases = [text for text in document.boxes if len(text) > 5 and " " in text][:4]
    found = ask(client, "grounding", document, phrases=phrases, detail=detail)
    overlaps = [
        iou(o["box"]["pixels"], document.boxes[o["label"]])
        for o in found["result"]["objects"]
        if o["label"] in document.boxes
    ]
    located = [overlap for overlap in overlaps if overlap >= 0.5]
    return Score(
        document.name,
        detail,
        len(document.lines),
        lost,
        doubled,
        len(fields),
        sum(str(told.get(name)) == str(value) for name, value in fields.items()),
        int(name is None or str(asked["result"]["answer"]) in written(fields[name])),
        len(phrases),
        len(located),
        round(sum(overlaps) / len(overlaps), 3) if overlaps else 0.0,
        read["calls"],
    )


def written(value: object) -> tuple[str, ...]:
    """Return the accepted spellings of a value."""
    return (f"{value:.2f}", str(value)) if isinstance(value, float) else (str(value),)


def compared(drawn: Sequence[str], read: Sequence[str]) -> tuple[int, int]:
    """Return the number of drawn lines that are lost, and of read lines that are doubled."""
    rest, lost = [text for text in map(_squeezed, read) if text], 0
    for line in map(_squeezed, drawn):
        likest = max(rest, key=lambda text: _alike(line, text), default="")
        if _alike(line, likest) >= ALIKE:
            rest.remove(likest)
        else:
            lost += 1
    known = list(map(_squeezed, drawn))
    return lost, sum(any(_alike(line, text) >= 0.95 for line in known) for text in rest)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def iou(box: dict[str, int], drawn: Box) -> float:
    """Return the intersection over union of two boxes."""
    across = min(box["right"], drawn[2]) - max(box["left"], drawn[0])
    down = min(box["bottom"], drawn[3]) - max(box["top"], drawn[1])
    common = max(0.0, across) * max(0.0, down)
    one = (box["right"] - box["left"]) * (box["bottom"] - box["top"])
    other = (drawn[2] - drawn[0]) * (drawn[3] - drawn[1])
    return common / (one + other - common)


def ask(client: httpx.Client, task: str, document: Document, **parameters: Any) -> dict[str, Any]:
    """Return a task's answer about one document."""
    return sent(client, task, [document.png], **parameters)


def sent(
    client: httpx.Client, task: str, files: Sequence[bytes], **parameters: Any
) -> dict[str, Any]:
    """Return a task's answer about some files."""
    images = [base64.b64encode(file).decode() for file in files]
    answer = client.post(f"/v1/tasks/{task}", json={"images": images, **parameters})
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    if not body["valid"]:
        raise SystemExit(f"{task}: {body['faults']}")
    return body


def mixed(pages: Sequence[Document], count: int = 40) -> tuple[list[bytes], list[str]]:
    """Return pages as two PDFs, a TIFF and pictures, and which document each page is."""
    all_pages = [pages[place % len(pages)] for place in range(count)]
    pictures = [Image.open(io.BytesIO(page.png)).convert("L") for page in all_pages]
    first, second, third = (round(count * share) for share in (0.375, 0.625, 0.875))
    files = [
        _several(pictures[:first], "PDF"),
        _several(pictures[first:second], "TIFF"),
        _several(pictures[second:third], "PDF"),
        *(page.png for page in all_pages[third:]),
    ]
    return files, [page.name for page in all_pages]


def _several(pictures: Sequence[Image.Image], kind: str) -> bytes:
    file = io.BytesIO()
    pictures[0].save(file, kind, save_all=True, append_images=pictures[1:])
    return file.getvalue()


def main() -> None:
    """Print a line for each document and the sums."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="+", default=[""], help="documents whose names begin so")
    options.add_argument("--json", type=Path, help="write the scores there, too")
    options.add_argument("--mixed", action="store_true")
    given = options.parse_args()
    chosen = [d for d in documents() if d.name.startswith(tuple(given.only))]
    scores = []
    with served() as client:
        for document in chosen:
            for detail in DETAILS:
                scores.append(score(client, document, detail))
                print(scores[-1], flush=True)
        if given.mixed:
            print(asked_forty(client, chosen))
    for detail in DETAILS:
        print(summed(detail, [one for one in scores if one.detail == detail]))
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in scores], indent=1))


def asked_forty(client: httpx.Client, pages: Sequence[Document]) -> str:
    """Return the outcome of forty pages in one request."""
    files, names = mixed(pages)
    lines = {document.name: document.lines for document in pages}
    result = sent(client, "ocr", files)["result"]
    pairs = list(zip(result["pages"], names, strict=True))
    faults = [compared(lines[name], (page["text"] or "").splitlines()) for page, name in pairs]
    lost, doubled = (sum(each) for each in zip(*faults, strict=True))
    total = sum(len(lines[name]) for name in names)
    errors = sum(page["error"] is not None for page, _ in pairs)
    return f"40 pages: {total} lines, {lost} lost, {doubled} doubled, {errors} pages failed"


def summed(detail: str, scores: Sequence[Score]) -> str:
    """Return the sums of all documents with one detail."""
    names = ("lines", "lost", "doubled", "fields", "fields_right", "phrases", "located", "calls")
    sums = {name: sum(getattr(one, name) for one in scores) for name in names}
    mean = sum(one.iou for one in scores) / max(1, len(scores))
    answered = sum(one.answered for one in scores)
    return f"{detail}: {len(scores)} documents, {sums}, answered {answered}, mean IoU {mean:.3f}"


if __name__ == "__main__":
    main()
