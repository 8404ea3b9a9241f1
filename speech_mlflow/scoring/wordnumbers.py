"""Words as numbers: equal words get equal numbers, without making a Python object of each.

The texts are joined and looked at as UTF-8 bytes. A word of up to seven bytes is its own number: its bytes and its
length in one 64-bit integer. Longer words are counted through a dictionary. Both are exact, nothing is hashed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speech_mlflow.scoring.records import Int64Array

_SHORT = 7  # bytes of a word that is its own number; the eighth holds its length
_LONG = 0x7F << 56  # no short word is that long
_MASKS = np.array([(1 << 8 * length) - 1 for length in range(_SHORT + 1)], dtype=np.int64)
_ASCII_SPACE = np.array([chr(code).isspace() for code in range(128)] + [False] * 128)
_OTHER_SPACES = [chr(code) for code in range(128, 0x3001) if chr(code).isspace()]


def number_words(texts: Sequence[str]) -> tuple[Int64Array, Int64Array]:
    """Numbers (not negative) of all words of all texts in a row, and the number of words in each text.

    Words are what `str.split` gives. Numbers are good for comparing words within one call only.
    """
    joined = " ".join([*texts, ""])
    if joined.isascii():
        data = joined.encode()
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    else:
        for space in _OTHER_SPACES:
            if space in joined:
                texts = [text.replace(space, " ") for text in texts]
                joined = joined.replace(space, " ")
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        data = b" ".join([*parts, b""])
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
    codes = np.frombuffer(data, dtype=np.uint8)
    spaces = np.flatnonzero(codes <= ord(" "))  # the last byte is one
    real = _ASCII_SPACE[codes[spaces]]
    if not real.all():  # control characters that are part of words
        spaces = spaces[real]
    starts = np.empty_like(spaces)
    starts[:1] = 0
    starts[1:] = spaces[:-1] + 1
    sizes = spaces - starts
    if len(sizes) and not sizes.all():  # several spaces in a row
        starts, sizes = starts[sizes > 0], sizes[sizes > 0]
    words = np.diff(np.searchsorted(starts, np.cumsum(lengths + 1)), prepend=0)
    return _numbers(data, starts, sizes), words


def _numbers(data: bytes, starts: Int64Array, lengths: Int64Array) -> Int64Array:
    padded = data + bytes(8)
    # the eight bytes from every position on, without copying
    eight = np.ndarray(len(data) + 1, dtype="<i8", buffer=padded, strides=(1,))
    numbers: Int64Array = eight[starts]
    numbers &= _MASKS[np.minimum(lengths, _SHORT)]
    numbers |= lengths << 56
    long = np.flatnonzero(lengths > _SHORT)
    if len(long):
        known: dict[bytes, int] = {}
        bounds = zip(starts[long].tolist(), (starts[long] + lengths[long]).tolist(), strict=True)
        numbers[long] = [known.setdefault(data[start:end], len(known)) for start, end in bounds]
        numbers[long] |= _LONG
    return numbers
