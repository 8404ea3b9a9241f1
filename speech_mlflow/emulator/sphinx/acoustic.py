"""The files of the acoustic model: Gaussians and mixture weights as arrays, and means written back.

The model is *phonetically tied*: each of 42 phones has one set of 128 Gaussians for each of 3 streams (cepstra, their first and their
second difference, 13 numbers each), and each of 5126 states (senones) weighs those of its phone.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speech_mlflow.emulator.sphinx import base
from speech_mlflow.errors import EngineError

Array = npt.NDArray[Any]

MIXTURE_STEP = 1024 * float(np.log(1.0001))
"""Mixture weights are stored in 8 bits, as this many nats below 1 a step."""
VARIANCE_FLOOR = 1e-4
_ENDHDR = b"endhdr\n"
_BYTE_ORDER = 0x11223344


@dataclass(frozen=True, eq=False)
class AcousticModel:
    """``means`` and ``variances``: phones x streams x Gaussians x 13; ``weights``: streams x Gaussians x senones (logarithms);
    ``phones``: number of each phone."""

    phones: dict[str, int]
    means: Array
    variances: Array
    weights: Array


@lru_cache(maxsize=1)
def shipped_model() -> AcousticModel:
    """The acoustic model in the wheel."""
    folder = base.acoustic_dir()
    variances = np.maximum(read_gaussians(folder / "variances"), VARIANCE_FLOOR)
    phones = {name: number for number, name in enumerate(_read_phones(folder / "mdef"))}
    return AcousticModel(phones, read_gaussians(folder / "means"), variances, _read_weights(folder / "sendump"))


def read_gaussians(path: Path) -> Array:
    """Means or variances: an array of codebooks x streams x Gaussians x dimensions. Raises EngineError for other files."""
    data = path.read_bytes()
    start = data.find(_ENDHDR) + len(_ENDHDR)
    if not data.startswith(b"s3\n") or start < len(_ENDHDR):
        raise EngineError(f"{path} holds no Gaussians of PocketSphinx")
    order, codebooks, streams, gaussians = struct.unpack_from("<4i", data, start)
    widths = struct.unpack_from(f"<{streams}i", data, start + 16)
    if order != _BYTE_ORDER or len(set(widths)) != 1:
        raise EngineError(f"{path} has a layout that is not supported")
    values = np.frombuffer(data, "<f4", codebooks * streams * gaussians * widths[0], start + 16 + 4 * streams + 4)
    return values.reshape(codebooks, streams, gaussians, widths[0]).astype(np.float64)


def write_gaussians(values: Array, path: Path) -> None:
    """Write means or variances as PocketSphinx reads them (without its optional checksum)."""
    codebooks, streams, gaussians, width = values.shape
    numbers = struct.pack(f"<{5 + streams}i", _BYTE_ORDER, codebooks, streams, gaussians, *[width] * streams, values.size)
    path.write_bytes(b"s3\nversion 1.0\n" + _ENDHDR + numbers + values.astype("<f4").tobytes())


def _read_phones(path: Path) -> list[str]:
    """Names of the phones in the order of the model's codebooks, from a binary model definition."""
    data = path.read_bytes()
    if data[:4] != b"BMDF":
        raise EngineError(f"{path} is not a binary model definition")
    (length,) = struct.unpack_from("<i", data, 8)
    count = struct.unpack_from("<i", data, 12 + length)[0]
    return [name.decode() for name in data[12 + length + 40 :].split(b"\0", count)[:count]]


def _read_weights(path: Path) -> Array:
    """Mixture weights of a dump of 8-bit numbers: strings with their length before them until an empty one, then the numbers."""
    data = path.read_bytes()
    at, header = 0, []
    while length := struct.unpack_from("<i", data, at)[0]:
        header.append(data[at + 4 : at + 4 + length].rstrip(b"\0").decode())
        at += 4 + length
    sizes = dict(re.findall(r"^(\w+) (\d+)$", "\n".join(header), re.MULTILINE))
    gaussians, senones = struct.unpack_from("<2i", data, at + 4)
    shape = (int(sizes.get("feature_count", 0)), gaussians, senones)
    if int(sizes.get("cluster_count", -1)) != 0 or len(data) != at + 12 + int(np.prod(shape)):
        raise EngineError(f"{path} has mixture weights of a kind that is not supported")
    numbers = np.frombuffer(data, np.uint8, offset=at + 12)
    return -MIXTURE_STEP * numbers.reshape(shape).astype(np.float64)
