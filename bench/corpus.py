"""A folder of pictures, each judged by another decoder: ``python -m bench.corpus DIR``."""

import argparse
import asyncio
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pillow_heif
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageOps, ImageStat

from app.domain.errors import ImageError
from app.domain.image import ImageLimits, ImageReport, ReceivedImage
from app.services.images.workers.pool import PooledPreparer

LIMITS = ImageLimits()
SHEET = Path(__file__).parent / "results" / "corpus.png"
DIFFERENT = 6.0
"""Mean difference of samples, of 255, from which readings differ. JPEG's own is 1 to 3."""
WORST, SIDE = 10, 220
"""The number of the most different pictures shown, and the pixels of each."""
AGREES, DIFFERS, SIZE = "agrees", "differs", "another size"
OURS_REFUSES, OTHERS_REFUSE, BOTH_REFUSE = "only ours refuses", "only ours reads", "both refuse"
FAILED = "an error that is no refusal"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The service's reading of one file beside another decoder's."""

    path: Path
    kind: str
    verdict: str
    note: str = ""
    difference: float = 0.0
    pair: tuple[Image.Image, Image.Image] | None = None
    """Ours and the other's, small."""


def reference(data: bytes) -> Image.Image:
    """The first picture as Pillow reads it: upright, in sRGB by its profile, on white."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(data)) as opened:
            if opened.width * opened.height > LIMITS.max_pixels:
                raise ValueError("too many pixels")
            opened.load()
            picture = _srgb(ImageOps.exif_transpose(opened))
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I;16"):
        picture = picture.point(lambda sample: sample / 257).convert("L")
    if picture.mode not in {"RGB", "L", "CMYK"}:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if not profile:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(picture, source, target, outputMode=mode)
    except (ImageCms.PyCMSError, OSError):
        return picture
    return converted or picture


def contents(path: Path) -> bytes:
    """Return a file's bytes, one more than the service accepts at most."""
    with path.open("rb") as file:
        return file.read(LIMITS.max_bytes + 1)


async def judged(preparer: PooledPreparer, path: Path) -> Judgement:
    """Prepare one file, and compare it with the other decoder's reading."""
    kind = path.suffix.lower().lstrip(".") or "none"
    try:
        data = await asyncio.to_thread(contents, path)
    except OSError as error:
        return Judgement(path, kind, BOTH_REFUSE, f"can't be opened: {error.strerror}")
    other, refusal = await asyncio.to_thread(_other, data)
    try:
        report = await preparer.prepare(ReceivedImage(data))
    except ImageError as error:
        verdict = BOTH_REFUSE if other is None else OURS_REFUSES
        return Judgement(path, kind, verdict, f"{error.code}: {error.detail}")
    except Exception as error:  # noqa: BLE001 - finding these is what the run is for
        return Judgement(path, kind, FAILED, repr(error))
    if other is None:
        return Judgement(path, kind, OTHERS_REFUSE, f"{report.treatment}; Pillow: {refusal}")
    return await asyncio.to_thread(_compared, path, kind, report, other)


def _other(data: bytes) -> tuple[Image.Image | None, str]:
    try:
        return reference(data), ""
    except Exception as error:  # noqa: BLE001 - whatever it is, that decoder does not read it
        return None, f"{type(error).__name__}: {error}"


def _compared(path: Path, kind: str, report: ImageReport, other: Image.Image) -> Judgement:
    with Image.open(BytesIO(report.prepared.data)) as opened:
        ours = opened.convert("RGB")
    note = ", ".join(warning.code for warning in report.warnings)
    # Rounding to whole pixels may take one from either side.
    if abs(ours.width * other.height - other.width * ours.height) > 2 * max(other.size):
        sizes = f"{ours.width} x {ours.height}, Pillow {other.width} x {other.height}"
        return Judgement(path, kind, SIZE, sizes, 255.0, _pair(ours, other))
    small = other.resize(ours.size, Image.Resampling.LANCZOS, reducing_gap=3)
    difference = sum(ImageStat.Stat(ImageChops.difference(ours, small)).mean) / 3
    verdict = DIFFERS if difference > DIFFERENT else AGREES
    return Judgement(path, kind, verdict, note, difference, _pair(ours, small))


def _pair(*pictures: Image.Image) -> tuple[Image.Image, Image.Image]:
    for picture in pictures:
        picture.thumbnail((SIDE, SIDE))
    return pictures[0], pictures[1]


def worst(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Return those that differ most, the first the worst."""
    compared = [each for each in judgements if each.pair is not None]
    return sorted(compared, key=lambda each: each.difference, reverse=True)[:WORST]


def table(judgements: Sequence[Judgement]) -> Iterator[str]:
    """Yield the lines of a table in Markdown: files by kind and verdict."""
    verdicts = [AGREES, DIFFERS, SIZE, OURS_REFUSES, OTHERS_REFUSE, BOTH_REFUSE, FAILED]
    counts = Counter((each.kind, each.verdict) for each in judgements)
    yield f"| kind | {' | '.join(verdicts)} |"
    yield "|---" * (len(verdicts) + 1) + "|"
    for kind in sorted({each.kind for each in judgements}):
        yield f"| {kind} | {' | '.join(str(counts[kind, verdict]) for verdict in verdicts)} |"


def sheet(shown: Sequence[Judgement]) -> Image.Image:
    """Draw pairs below each other: ours left, Pillow's right, with name and difference."""
    line = 16
    picture = Image.new("RGB", (2 * SIDE + 12, max(1, len(shown)) * (SIDE + line)), "white")
    pen = ImageDraw.Draw(picture)
    for number, each in enumerate(shown):
        top = number * (SIDE + line)
        pen.text((2, top), f"{each.difference:.1f}  {each.path.name}"[:70], "black")
        for column, part in enumerate(each.pair or ()):
            picture.paste(part, (column * (SIDE + 12), top + line))
    return picture


def files(folder: Path, limit: int | None = None) -> list[Path]:
    """Return every file under ``folder``, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())[:limit]


async def run(paths: Sequence[Path]) -> list[Judgement]:
    """Judge every file."""
    pillow_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None
    async with PooledPreparer(LIMITS) as preparer:
        return [await judged(preparer, path) for path in paths]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.corpus", description=__doc__)
    parser.add_argument("folder", type=Path, help="any folder of pictures, searched throughout")
    parser.add_argument("--limit", type=int, help="judge only so many")
    parser.add_argument("--sheet", type=Path, default=SHEET, help="where the worst ten are drawn")
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        parser.error(f"{given.folder} is no folder")
    judgements = asyncio.run(run(files(given.folder, given.limit)))
    print("\n".join(table(judgements)))
    for each in judgements:
        if each.verdict != AGREES:
            print(f"{each.verdict}: {each.path.relative_to(given.folder)}: {each.note}")
    shown = worst(judgements)
    print(f"\nThe worst {len(shown)} by mean difference of samples, of 255:")
    for each in shown:
        print(f"{each.difference:6.1f}  {each.path.relative_to(given.folder)}  {each.note}")
    given.sheet.parent.mkdir(parents=True, exist_ok=True)
    sheet(shown).save(given.sheet)
    print(f"drawn in {given.sheet}")


if __name__ == "__main__":
    main()
