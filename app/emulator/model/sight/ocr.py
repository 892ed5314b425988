"""The engine that reads words, if it is installed; its models are in its package."""

import io
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from app.emulator.model.sight.pixels import opaque
from app.emulator.model.sight.text_lines import Box, TextLines, Word, around, assembled
from app.emulator.wire.bodies.conversation import Picture

_MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
_CHINESE = re.compile("[\u4e00-\u9fff]")
_MAX_SIDE = 2240
_MAX_ASPECT = 4


class Reader(Protocol):
    """Reads the words in pictures, if it can."""

    able: bool

    def read(self, picture: Picture) -> TextLines:
        """Return the words in the picture. Takes a second of CPU: use a thread."""
        ...


class NoReader:
    """Stands in for an engine that is not installed or is switched off."""

    able = False

    def read(self, picture: Picture) -> TextLines:  # noqa: ARG002 - the protocol's parameter
        """Return nothing."""
        return TextLines()


class RapidReader:
    """Reads with rapidocr on onnxruntime: Latin, Chinese and Japanese script.

    The engine keeps state while it reads: call it from one thread at a time.
    """

    able = True

    def __init__(self, models: Path) -> None:
        self._models = models
        self._engine: Any = None

    def read(self, picture: Picture) -> TextLines:
        """Return the words in the picture."""
        import numpy as np

        with Image.open(io.BytesIO(picture.data)) as opened:
            image = opaque(opened)
        # The model sees no more of a picture than four tiles in a row.
        image.thumbnail((_MAX_SIDE, _MAX_SIDE))
        size, image = image.size, _less_narrow(image)
        output = self._loaded()(np.asarray(image)[:, :, ::-1])
        if output.txts is None:
            return TextLines()
        return assembled(
            (tuple(_words(str(text), words, size)), float(score))
            for text, words, score in zip(
                output.txts, output.word_results, output.scores, strict=True
            )
        )

    def _loaded(self) -> Any:  # noqa: ANN401 - the engine ships no types that mypy reads
        if self._engine is None:
            from rapidocr import RapidOCR

            self._engine = RapidOCR(params=self._parameters())
        return self._engine

    def _parameters(self) -> dict[str, object]:
        threads = "EngineConfig.onnxruntime"
        # Given as paths, a missing model is an error and never a download.
        paths = {f"{part}.model_path": str(self._models / name) for part, name in _MODELS.items()}
        return {
            "Global.log_level": "critical",
            "Global.return_word_box": True,
            f"{threads}.intra_op_num_threads": 1,
            f"{threads}.inter_op_num_threads": 1,
            **paths,
        }


def _less_narrow(image: Image.Image) -> Image.Image:
    """Return a strip with white at its sides, as the engine enlarges the shorter side."""
    least = max(image.size) // _MAX_ASPECT
    if min(image.size) >= least:
        return image
    wider = Image.new("RGB", (max(image.width, least), max(image.height, least)), "white")
    wider.paste(image)
    return wider


def _words(line: str, pieces: object, size: tuple[int, int]) -> Iterator[Word]:
    """Yield the words of a line, of which the engine finds single signs if any are Chinese."""
    place, last = 0, None
    for part, _, corners in pieces if isinstance(pieces, tuple | list) else ():
        if not (text := str(part).strip()):
            continue
        apart = line[place : place + 1].isspace() or not _CHINESE.search(line)
        place = max(place, line.find(text, place)) + len(text)
        word = Word(text, _box(corners, size))
        if last is not None and not apart:
            last = Word(last.text + text, around((last.box, word.box)))
            continue
        if last is not None:
            yield last
        last = word
    if last is not None:
        yield last


def _box(corners: list[list[float]], size: tuple[int, int]) -> Box:
    across = [_share(x, size[0]) for x, _ in corners]
    down = [_share(y, size[1]) for _, y in corners]
    return min(across), min(down), max(across), max(down)


def _share(position: float, length: int) -> float:
    # Four digits are a tenth of a pixel in the largest picture allowed.
    return round(min(max(position / length, 0.0), 1.0), 4)


def reader(*, wanted: bool) -> Reader:
    """Return the best reader installed. Loads nothing yet."""
    package = find_spec("rapidocr")
    if not wanted or package is None or find_spec("onnxruntime") is None:
        return NoReader()
    for folder in package.submodule_search_locations or []:
        models = Path(folder) / "models"
        if all((models / name).is_file() for name in _MODELS.values()):
            return RapidReader(models)
    return NoReader()
