"""The OCR engine, which runs in a process of its own: loaded there as that starts.

rapidocr on onnxruntime, with the models inside its package: Latin, Greek, Chinese and Japanese
script. Nothing is fetched.
"""

import io
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from app.services.evidence.words import Word
from app.services.geometry import Box, Size

_MODELS = {
    "Det.model_path": "PP-OCRv6_det_small.onnx",
    "Cls.model_path": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec.model_path": "PP-OCRv6_rec_small.onnx",
}
NARROWEST = 4
"""The longer side over the shorter one, from which white is put beside a picture: the engine
enlarges the shorter side."""


class EngineMissingError(RuntimeError):
    """The extra ``ocr`` is not installed, or not with its models."""


def installed() -> bool:
    """Whether the engine and its models are there. Loads neither."""
    return find_spec("onnxruntime") is not None and _folder() is not None


def load() -> None:
    """Load the engine into this process, which takes seconds, before its first picture."""
    _engine()


def read(picture: bytes) -> tuple[Word, ...]:
    """Return the words in a picture, line by line, with their places as shares of it."""
    import numpy as np  # only the engine's process needs it

    with Image.open(io.BytesIO(picture)) as opened:
        image = _opaque(opened)
    size = Size(*image.size)
    said = _engine()(np.asarray(_widened(image))[:, :, ::-1])
    if said.txts is None:
        return ()
    return tuple(
        word
        for line, (words, score) in enumerate(zip(said.word_results, said.scores, strict=True))
        for word in _words(words, line, float(score), size)
    )


def _words(words: object, line: int, score: float, size: Size) -> Iterator[Word]:
    for text, _, corners in words if isinstance(words, tuple | list) else ():
        if str(text).strip():
            yield Word(str(text).strip(), _box(corners, size), line, round(score, 4))


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
            # Given as paths, a missing model is an error and never a download.
            **{part: str(folder / name) for part, name in _MODELS.items()},
        }
    )


def _folder() -> Path | None:
    package = find_spec("rapidocr")
    places = (package.submodule_search_locations if package else None) or ()
    folders = (Path(place) / "models" for place in places)
    return next((f for f in folders if all((f / m).is_file() for m in _MODELS.values())), None)
