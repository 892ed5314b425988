"""Converts numeric colour descriptions to ICC profiles for the decoder.

The numbers are those of ITU-T H.273 in AVIF, HEIF (``nclx``) and PNG (``cICP``), and of PNG's
``gAMA`` and ``cHRM``.
"""

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import starmap
from math import exp
from types import MappingProxyType
from typing import NamedTuple


class Chromaticities(NamedTuple):
    """CIE xy coordinates of white, red, green and blue."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


_D65 = (0.3127, 0.329)
SRGB = Chromaticities(_D65, (0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
_REC2020 = Chromaticities(_D65, (0.708, 0.292), (0.17, 0.797), (0.131, 0.046))
_REC601 = Chromaticities(_D65, (0.63, 0.34), (0.31, 0.595), (0.155, 0.07))
PRIMARIES: Mapping[int, Chromaticities] = MappingProxyType(
    {
        1: SRGB,
        4: Chromaticities((0.31, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
        5: Chromaticities(_D65, (0.64, 0.33), (0.29, 0.6), (0.15, 0.06)),
        6: _REC601,
        7: _REC601,
        8: Chromaticities((0.31, 0.316), (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
        9: _REC2020,
        11: Chromaticities((0.314, 0.351), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
        12: Chromaticities(_D65, (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
        22: Chromaticities(_D65, (0.63, 0.34), (0.295, 0.605), (0.155, 0.077)),
    }
)
"""Colour primaries by number in H.273."""
PQ, HLG = 16, 18
HDR = frozenset({PQ, HLG})
"""Transfer characteristics whose white is far brighter than paper."""
WHITE_NITS, PEAK_NITS = 203.0, 1_000.0
"""Luminance in nits of paper white (ITU-R BT.2408) and of the reference HDR display."""
KNEE = 0.6
"""Share of paper white up to which HDR luminance is kept; above it, highlights are rolled off."""
SAMPLES = 4_096
"""Number of points of a tone curve."""
SRGB_GAMMA = 1 / 2.2
NEARLY = 0.02
"""Invisible difference from sRGB's numbers."""
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = (
    (0.8951, 0.2664, -0.1614),
    (-0.7502, 1.7135, 0.0367),
    (0.0389, -0.0685, 1.0296),
)

Curve = Callable[[float], float]
"""Maps a sample, 0 to 1, to linear light, 0 to 1."""
Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]


@lru_cache(maxsize=64)
def coded(primaries: int, transfer: int) -> bytes | None:
    """Return the ICC profile of H.273 numbers, or None if they mean sRGB or are unknown."""
    if transfer in HDR:
        # HDR without stated primaries has those with which it is defined.
        return _profile(PRIMARIES.get(primaries, _REC2020), _CURVES[transfer])
    curve = _CURVES.get(transfer)
    gamut = PRIMARIES.get(primaries, SRGB)
    return None if curve is None and gamut == SRGB else _profile(gamut, curve or _srgb)


@lru_cache(maxsize=64)
def measured(gamma: float | None, gamut: Chromaticities | None) -> bytes | None:
    """Return the ICC profile of PNG's ``gAMA`` and ``cHRM``, or None if they are close to sRGB.

    Raises ValueError for chromaticities that span no gamut.
    """
    power = SRGB_GAMMA if gamma is None else gamma
    usual = gamut is None or all(
        abs(one - other) < NEARLY / 2
        for pair, wanted in zip(gamut, SRGB, strict=True)
        for one, other in zip(pair, wanted, strict=True)
    )
    if usual and abs(power - SRGB_GAMMA) < NEARLY:
        return None
    if not 0.05 <= power <= 20:
        raise ValueError("a gamma that no picture has")
    curve: Curve = _srgb if abs(power - SRGB_GAMMA) < NEARLY else _power(1 / power)
    return _profile(gamut or SRGB, curve)


def _power(exponent: float) -> Curve:
    return lambda sample: float(sample**exponent)


def _srgb(sample: float) -> float:
    return sample / 12.92 if sample <= 0.04045 else float(((sample + 0.055) / 1.055) ** 2.4)


def _smpte_240m(sample: float) -> float:
    return sample / 4 if sample < 0.0912 else float(((sample + 0.1115) / 1.1115) ** (1 / 0.45))


def _pq(sample: float) -> float:
    root = sample ** (1 / 78.84375)
    nits = 10_000 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578)
    return _rolled_off(nits / WHITE_NITS)


def _hlg(sample: float) -> float:
    scene = sample**2 / 3 if sample <= 0.5 else (exp((sample - 0.55991073) / 0.17883277) + _B) / 12
    return _rolled_off(PEAK_NITS * scene**1.2 / WHITE_NITS)


_B = 0.28466892


def _rolled_off(light: float) -> float:
    """Map light (1 is paper white) to 0 to 1, unchanged up to the knee and compressed above."""
    most = PEAK_NITS / WHITE_NITS
    if light <= KNEE:
        return light
    share = min((light - KNEE) / (most - KNEE), 1.0)
    steep = (most - KNEE) / (1 - KNEE)
    return KNEE + (1 - KNEE) * steep * share / (1 + (steep - 1) * share)


_CURVES: Mapping[int, Curve] = MappingProxyType(
    {
        4: _power(2.2),
        5: _power(2.8),
        7: _smpte_240m,
        8: _power(1),
        17: _power(2.6),
        PQ: _pq,
        HLG: _hlg,
    }
)
"""Transfer functions by number in H.273; television's (1, 6, 14, 15) count as sRGB."""


def _profile(gamut: Chromaticities, curve: Curve) -> bytes:
    """Return a display profile with a matrix and a tone curve (ICC.1:2001)."""
    columns = list(zip(*_to_d50(gamut), strict=True))
    points = [round(65_535 * min(max(curve(n / (SAMPLES - 1)), 0), 1)) for n in range(SAMPLES)]
    tone = struct.pack(f">4s4xI{SAMPLES}H", b"curv", SAMPLES, *points)
    text = b"in numbers\0"
    bodies = {
        b"desc": struct.pack(">4s4xI", b"desc", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(_D50),
        **{name: _xyz(c) for name, c in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)},
        b"rTRC": tone,
    }
    return _packed(bodies)


def _packed(bodies: Mapping[bytes, bytes]) -> bytes:
    at = 128 + 4 + 12 * (len(bodies) + 2)
    entries, parts = [], []
    for name, body in bodies.items():
        # All three colours share the tone curve.
        names = (b"rTRC", b"gTRC", b"bTRC") if name == b"rTRC" else (name,)
        entries += [struct.pack(">4sII", each, at, len(body)) for each in names]
        parts.append(body + bytes(-len(body) % 4))
        at += len(parts[-1])
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x",
        at,
        0x0210_0000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        b"acsp",
        *_fixed(_D50),
    )
    return b"".join([head, struct.pack(">I", len(entries)), *entries, *parts])


def _xyz(value: Vector) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *_fixed(value))


def _fixed(value: Vector) -> list[int]:
    return [round(65_536 * part) for part in value]


def _to_d50(gamut: Chromaticities) -> Matrix:
    """Return the matrix from linear RGB to XYZ under D50, the white point of profiles."""
    if any(y <= 0 or x < 0 for x, y in gamut):
        raise ValueError("no colours")
    white, *primaries = starmap(_of_xy, gamut)
    across: Matrix = tuple(zip(*primaries, strict=True))
    shares = _times(_inverse(across), white)
    to_xyz = tuple(tuple(p * s for p, s in zip(row, shares, strict=True)) for row in across)
    seen, wanted = _times(_BRADFORD, white), _times(_BRADFORD, _D50)
    scaled = tuple(
        tuple(part * (w / s) for part in row)
        for row, w, s in zip(_BRADFORD, wanted, seen, strict=True)
    )
    return _product(_product(_inverse(_BRADFORD), scaled), to_xyz)


def _of_xy(x: float, y: float) -> Vector:
    return x / y, 1.0, (1 - x - y) / y


def _times(matrix: Matrix, vector: Vector) -> Vector:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def _product(one: Matrix, other: Matrix) -> Matrix:
    columns = tuple(zip(*other, strict=True))
    return tuple(tuple(_times((row,), column)[0] for column in columns) for row in one)


def _inverse(m: Matrix) -> Matrix:
    def minor(i: int, j: int) -> float:
        a, b = ((i + 1) % 3, (i + 2) % 3)
        c, d = ((j + 1) % 3, (j + 2) % 3)
        return m[a][c] * m[b][d] - m[a][d] * m[b][c]

    determinant = sum(m[0][j] * minor(0, j) for j in range(3))
    if abs(determinant) < 1e-9:
        raise ValueError("the colours span nothing")
    return tuple(tuple(minor(j, i) / determinant for j in range(3)) for i in range(3))
