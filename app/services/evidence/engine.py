"""The OCR engine, which is loaded at the start of a process of its own.

It is rapidocr on onnxruntime with the models in its package, for Latin, Chinese and Japanese script
and most of Greek. Nothing is downloaded.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from app.services.evidence.words import Word, around
from app.services.geometry import Box, Size

_MODELS = {
    "Det.model_path": "PP-OCRv6_det_small.onnx",
    "Cls.model_path": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec.model_path": "PP-OCRv6_rec_small.onnx",
}
_CHINESE = re.compile("[\u4e00-\u9fff]")
_WIDE = re.compile("[\u2e80-\uffef]")
"""Matches characters of scripts without spaces between words, and full-width signs."""
NARROWEST = 4
"""Ratio of the sides from which an image is padded with white, because the engine enlarges the
shorter side."""


class EngineMissingError(RuntimeError):
    """The extra ``ocr`` or its models are not installed."""


def installed() -> bool:
    """Return whether the engine and its models are installed, without loading them."""
    return find_spec("onnxruntime") is not None and _folder() is not None


def load() -> None:
    """Load the engine into this process before its first image, which takes seconds."""
    _engine()


def read(picture: bytes) -> tuple[Word, ...]:
    """Return the words in an image, line by line, with boxes in fractions of its size."""
    import numpy as np  # only the engine's process needs it

    with Image.open(io.BytesIO(picture)) as opened:
        image = _opaque(opened)
    size = Size(*image.size)
    output = _engine()(np.asarray(_widened(image))[:, :, ::-1])
    if output.txts is None:
        return ()
    lines = zip(output.txts, output.word_results, output.scores, strict=True)
    return tuple(
        word
        for number, (text, words, score) in enumerate(lines)
        for word in _words(str(text), words, _Line(number, float(score), size))
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that the engine read."""

    number: int
    score: float
    size: Size
    """The image's size."""


def _words(text: str, words: object, line: _Line) -> Iterator[Word]:
    """Yield the words of a line.

    In a line with Chinese, the engine returns single characters, even of numbers.
    """
    single, place = _CHINESE.search(text) is not None, 0
    last: Word | None = None
    for part, _, corners in words if isinstance(words, tuple | list) else ():
        if not (word_text := str(part).strip()):
            continue
        spaced = not single or text[place : place + 1].isspace()
        place = text.find(word_text, place) + len(word_text)
        box = _box(corners, line.size)
        word = Word(word_text, box, line.number, round(line.score, 4), spaced)
        if last is None:
            last = word
        elif spaced or _WIDE.match(word_text) or _WIDE.match(last.text):
            yield last
            last = word
        else:
            last = replace(last, text=last.text + word_text, box=around((last.box, box)))
    if last is not None:
        yield last


def _box(corners: Sequence[Sequence[float]], size: Size) -> Box:
    across = [min(max(x / size.width, 0.0), 1.0) for x, _ in corners]
    down = [min(max(y / size.height, 0.0), 1.0) for _, y in corners]
    return Box(min(across), min(down), max(across), max(down))


def _opaque(opened: Image.Image) -> Image.Image:
    if "A" not in opened.getbands() and "transparency" not in opened.info:
        return opened.convert("RGB")
    seen = opened.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def _widened(image: Image.Image) -> Image.Image:
    least = max(image.size) // NARROWEST
    if min(image.size) >= least:
        return image
    wider = Image.new("RGB", (max(image.width, least), max(image.height, least)), "white")
    wider.paste(image)
    return wider


@cache
def _engine() -> Any:  # noqa: ANN401 - the engine ships no types
    folder = _folder()
    if folder is None:
        raise EngineMissingError("the extra ocr is not installed")
    from rapidocr import RapidOCR

    threads = "EngineConfig.onnxruntime"
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.return_word_box": True,
            f"{threads}.intra_op_num_threads": 1,
            f"{threads}.inter_op_num_threads": 1,
            # With explicit paths, a missing model is an error and never a download.
            **{part: str(folder / name) for part, name in _MODELS.items()},
        }
    )


def _folder() -> Path | None:
    package = find_spec("rapidocr")
    places = (package.submodule_search_locations if package else None) or ()
    folders = (Path(place) / "models" for place in places)
    return next((f for f in folders if all((f / m).is_file() for m in _MODELS.values())), None)
