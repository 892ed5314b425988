"""Speed and memory of picture preparation: ``python -m bench.micro.images [speed|memory]``.

Speed: CPU of naive Pillow, libvips' own thumbnail and this service's path, side by side in one
process on one core, best of several rounds taken in turn. Memory: 64 concurrent 10 MB photos
through the worker pool, as behind a door that admits 128 MiB at a time.
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pillow_heif
import pyvips
from PIL import Image

from app import allocator
from app.domain.image import ImageLimits, ReceivedImage
from app.services.images.prepare import prepare
from app.services.images.workers.pool import PooledPreparer
from fixtures.images import encoded, page, sample
from fixtures.similarity import similarity

LIMITS = ImageLimits()
QUALITY = 90
ROUNDS = 21
CLIENTS = 64
IN_FLIGHT = 128 * 1024 * 1024


HEADING = """\
| picture | received | naive Pillow | libvips thumbnail | ours | naive / ours | ours / libvips \
| SSIM to naive | prepared |
|---|---|---|---|---|---|---|---|---|"""


class Case(NamedTuple):
    name: str
    data: bytes
    kind: str
    """Pillow's name of the type that all three write."""


def photo(width: int, height: int, grain: float = 0.12) -> Image.Image:
    """A photograph with a sensor's grain, so that it is no smoother than real ones."""
    with Image.open(BytesIO(sample("exif-Landscape_1.jpg"))) as picture:
        large = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    noise = Image.effect_noise((width, height), 18).convert("RGB")
    return Image.blend(large, noise, grain)


def cases() -> list[Case]:
    twelve, three = photo(4032, 3024), photo(2048, 1536)
    screen = page(3840, 2160, 24)
    return [
        Case("JPEG photo, 12 MP", encoded(twelve, "JPEG", quality=92), "JPEG"),
        Case(
            "JPEG photo, 12 MP, progressive",
            encoded(twelve, "JPEG", quality=92, progressive=True),
            "JPEG",
        ),
        Case("JPEG photo, 3 MP", encoded(three, "JPEG", quality=92), "JPEG"),
        Case("PNG photo, 3 MP", encoded(three), "JPEG"),
        Case("WebP photo, 3 MP", encoded(three, "WEBP", quality=90), "JPEG"),
        Case("PNG screenshot, 4K", encoded(screen), "PNG"),
        Case("WebP screenshot, 4K, lossless", encoded(screen, "WEBP", lossless=True), "PNG"),
        Case(
            "TIFF scan, 8 MP", encoded(page(2480, 3508, 44), "TIFF", compression="tiff_lzw"), "PNG"
        ),
        Case("HEIC photo, 12 MP", sample("arrow.heic"), "JPEG"),
    ]


def naive(case: Case) -> bytes:
    with Image.open(BytesIO(case.data)) as picture:
        picture.load()
        scale = 1120 / max(picture.size)
        size = (int(picture.width * scale), int(picture.height * scale))
        small = picture.resize(size, Image.Resampling.LANCZOS)
    options = {"quality": QUALITY} if case.kind == "JPEG" else {}
    return encoded(small, case.kind, **options)


def thumbnail(case: Case) -> bytes:
    small = pyvips.Image.thumbnail_buffer(case.data, 1120, height=1120)
    if case.kind == "JPEG":
        return bytes(small.jpegsave_buffer(Q=QUALITY, keep="none"))
    return bytes(small.pngsave_buffer(keep="none"))


def ours(case: Case) -> bytes:
    return prepare(ReceivedImage(case.data), LIMITS).prepared.data


def best(case: Case, ways: list[Callable[[Case], bytes]]) -> list[tuple[float, bytes]]:
    """Milliseconds of CPU and result of each way, the best of several rounds taken in turn."""
    results = [(float("inf"), b"")] * len(ways)
    for _ in range(ROUNDS):
        for index, way in enumerate(ways):
            started = time.process_time()
            try:
                data = way(case)
            except pyvips.Error:
                continue
            elapsed = (time.process_time() - started) * 1000
            results[index] = min(results[index], (elapsed, data))
    return results


def speed() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pyvips.vips_lib.vips_concurrency_set(1)
    pyvips.cache_set_max(0)
    pillow_heif.register_heif_opener()
    print(HEADING)
    for case in cases():
        (slow, reference), (vips, _), (fast, result) = best(case, [naive, thumbnail, ours])
        other = f"{vips:.0f} ms" if vips < float("inf") else "can't"
        ratio = f"{fast / vips:.2f}" if vips < float("inf") else "-"
        alike = similarity(reference, result) if same_shape(reference, result) else float("nan")
        print(
            f"| {case.name} | {len(case.data) / 1e6:.2f} MB | {slow:.0f} ms | {other} "
            f"| {fast:.0f} ms | {slow / fast:.1f} | {ratio} | {alike:.3f} "
            f"| {len(result) / 1e6:.2f} MB |"
        )


def same_shape(one: bytes, other: bytes) -> bool:
    with Image.open(BytesIO(one)) as a, Image.open(BytesIO(other)) as b:
        return a.size == b.size


def memory() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "photo.jpg")
        file.write_bytes(ten_megabytes())
        asyncio.run(flood(file, file.stat().st_size))


def ten_megabytes() -> bytes:
    """A 12-megapixel JPEG padded to 10 MB, made in a process of its own to leave no trace here."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(make_ten_megabytes)


def make_ten_megabytes() -> bytes:
    picture = photo(4032, 3024, 0.24)
    sizes = (encoded(picture, "JPEG", quality=q, subsampling=0) for q in range(80, 101))
    return next((data for data in sizes if len(data) >= 10_000_000), b"")


async def flood(file: Path, size: int) -> None:
    door = asyncio.Semaphore(IN_FLIGHT // size)
    line = asyncio.Lock()
    stalls: list[float] = []
    async with PooledPreparer(LIMITS) as preparer:
        print(f"{CLIENTS} photos of {size / 1e6:.1f} MB, {IN_FLIGHT // size} in flight")
        watch = asyncio.create_task(watch_loop(stalls))
        started = time.perf_counter()
        await asyncio.gather(*(client(preparer, door, line, file) for _ in range(CLIENTS)))
        elapsed = time.perf_counter() - started
        watch.cancel()
        own = peak(os.getpid())
        pids = [child.pid for child in multiprocessing.active_children() if child.pid]
        others = [peak(pid) for pid in pids]
    print(f"took {elapsed:.1f} s, {CLIENTS / elapsed:.1f} pictures a second")
    print(f"peak RSS: service {own:.0f} MiB, workers {' + '.join(f'{o:.0f}' for o in others)} MiB")
    print(f"in all at most {own + sum(others):.0f} MiB")
    print(f"longest stall of the event loop: {max(stalls) * 1000:.1f} ms")


async def client(
    preparer: PooledPreparer, door: asyncio.Semaphore, line: asyncio.Lock, file: Path
) -> None:
    async with door:
        # One body after the other, as they share the line that they come in by.
        async with line:
            data = await asyncio.to_thread(file.read_bytes)
        report = await preparer.prepare(ReceivedImage(data))
    assert report.prepared.width == 1120


async def watch_loop(stalls: list[float]) -> None:
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.001)
        stalls.append(time.perf_counter() - started - 0.001)


def peak(pid: int) -> float:
    """MiB of resident memory at its highest (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    if allocator.TUNABLES not in os.environ:
        # As the decoders' processes have it; glibc reads it before a program runs.
        os.environ[allocator.TUNABLES] = allocator.LARGE_PAGES
        os.execv(sys.executable, [sys.executable, "-m", "bench.micro.images", *sys.argv[1:]])
    what = sys.argv[1:] or ["memory", "speed"]
    # Memory first: a process's peak never falls again.
    if "memory" in what:
        memory()
    if "speed" in what:
        speed()
