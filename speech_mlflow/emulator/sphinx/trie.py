"""The binary language models of PocketSphinx ("Trie Language Model"): read into arrays, and written from them.

PocketSphinx reads such a file but does not hand out what is in it (writing the shipped one as ARPA text ends the process), and it
builds one only from ARPA text, which for a general vocabulary takes longer than everything else here. So the format is read and
written directly, in a second or two. Layout, all little endian:

* ``Trie Language Model``, order (1 byte), number of n-grams of each order (4 bytes each);
* quantisation: 4 bytes ``1``, then tables of 65,536 floats: bigram probabilities, bigram back-offs, trigram probabilities;
* unigrams: probability, back-off, index of the first bigram, one more than there are words;
* bigrams, bit-packed: word, 16 bits back-off bin, 16 bits probability bin, index of the first trigram; one more than there are;
* trigrams, bit-packed: word, 16 bits probability bin;
* words, ended by zero bytes.

The tree is reversed: the bigrams below word *w* are ``(h, w)``, sorted by *h*. Values are logarithms to the base 1.0001.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speech_mlflow.emulator.sphinx.ngrams import NGrams, bigram_keys, trigram_keys
from speech_mlflow.errors import EngineError

MAGIC = b"Trie Language Model"
LOG_BASE = float(np.log(1.0001))
BINS = 1 << 16
ZERO = -99.0 * float(np.log(10)) / LOG_BASE
"""What stands for a probability of zero, as in ARPA files (10 to the -99)."""
_UNIGRAM = np.dtype([("prob", "<f4"), ("backoff", "<f4"), ("next", "<u4")])
_BLOCK = 1 << 16
"""Entries packed at once: a multiple of 8, so that each block ends on a byte."""

Array = npt.NDArray[Any]


def read_trie(path: Path) -> NGrams:
    """Read a trigram model. Raises EngineError for any other file."""
    data = path.read_bytes()
    try:
        return _parse(data)
    except (struct.error, ValueError, IndexError) as error:
        raise EngineError(f"{path} is not a PocketSphinx trigram model: {error}") from error


def write_trie(model: NGrams, path: Path) -> None:
    """Write a trigram model that PocketSphinx loads.

    Every trigram ``(g, h, w)`` needs the bigram ``(h, w)``, because the tree reaches the one through the other; ValueError if missing.
    """
    words = len(model.words)
    # Reversed order: sorted by the last word, then the one before it, then the first.
    second = np.argsort(bigram_keys(words, model.w2, model.h1))
    third = np.argsort(trigram_keys(words, model.w3, model.h3, model.g3))
    h2, w2 = model.h1[second], model.w2[second]
    parents = w2 * words + h2
    at = np.searchsorted(parents, model.w3[third] * words + model.h3[third])
    if len(third) and (
        at.max(initial=0) >= len(parents) or not np.array_equal(parents[at], model.w3[third] * words + model.h3[third])
    ):
        raise ValueError("a trigram lacks the bigram of its last two words")
    prob2, table2 = _quantise(_to_log(model.p2[second]))
    back2, table_back = _quantise(_to_log(model.b2[second]))
    prob3, table3 = _quantise(_to_log(model.p3[third]))
    word_bits, next_bits = words.bit_length(), len(third).bit_length()
    unigrams = np.zeros(words + 1, _UNIGRAM)
    unigrams["prob"][:-1], unigrams["backoff"][:-1] = _to_log(model.p1), _to_log(model.b1)
    unigrams["next"] = np.searchsorted(w2, np.arange(words + 1))
    following = np.searchsorted(at, np.arange(len(second) + 1))
    bigrams = [(_closed(h2), word_bits), (_closed(back2), 16), (_closed(prob2), 16), (following, next_bits)]
    trigrams = [(_closed(model.g3[third]), word_bits), (_closed(prob3), 16)]
    names = b"".join(word.encode() + b"\0" for word in model.words)
    with path.open("wb") as file:
        file.write(MAGIC + struct.pack("<B3I", 3, words, len(second), len(third)) + struct.pack("<i", 1))
        for table in (table2, table_back, table3):
            file.write(table.astype("<f4").tobytes())
        file.write(unigrams.tobytes())
        for fields in (bigrams, trigrams):
            file.write(_pack(fields))
        file.write(struct.pack("<i", len(names)) + names)


def _parse(data: bytes) -> NGrams:
    if not data.startswith(MAGIC):
        raise ValueError("wrong first bytes")
    order, words, count2, count3 = struct.unpack_from("<B3I", data, len(MAGIC))
    if order != 3:
        raise ValueError(f"order {order} instead of 3")
    at = len(MAGIC) + 13 + 4
    table2, table_back, table3 = np.frombuffer(data, "<f4", 3 * BINS, at).astype(np.float64).reshape(3, BINS)
    at += 3 * BINS * 4
    unigrams = np.frombuffer(data, _UNIGRAM, words + 1, at)
    at += unigrams.nbytes
    word_bits, next_bits = words.bit_length(), count3.bit_length()
    # The header of the shipped model counts six bigrams more than there are; the unigrams know better.
    real2 = int(unigrams["next"][-1])
    h2, back2, prob2, following = _unpack(data, at, real2 + 1, [word_bits, 16, 16, next_bits])
    at += _packed_bytes(count2, word_bits + 32 + next_bits)
    g3, prob3 = _unpack(data, at, count3, [word_bits, 16])
    at += _packed_bytes(count3, word_bits + 16)
    names = data[at + 4 : at + 4 + struct.unpack_from("<i", data, at)[0]].decode().split("\0")[:-1]
    w2 = np.repeat(np.arange(words), _lengths(unigrams["next"]))
    parent = np.repeat(np.arange(real2), _lengths(following))
    second = np.argsort(bigram_keys(words, h2[:-1], w2))
    third = np.argsort(trigram_keys(words, g3, h2[parent], w2[parent]))
    return NGrams(
        words=tuple(names),
        p1=_from_log(unigrams["prob"][:-1].astype(np.float64)),
        b1=_from_log(unigrams["backoff"][:-1].astype(np.float64)),
        h1=h2[:-1][second],
        w2=w2[second],
        p2=_from_log(table2)[prob2[:-1][second]],
        b2=_from_log(table_back)[back2[:-1][second]],
        g3=g3[third],
        h3=h2[parent][third],
        w3=w2[parent][third],
        p3=_from_log(table3)[prob3[third]],
    )


def _to_log(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(values) / LOG_BASE, ZERO)


def _from_log(values: Array) -> Array:
    return np.exp(values * LOG_BASE)


def _quantise(values: Array) -> tuple[Array, Array]:
    """Bin of each value and the table of bins: evenly spaced, the first one for a probability of zero.

    The values lie within some 30 nats, so that none is off by more than 0.0003; PocketSphinx's own bins, of as many values each, are
    much wider where values are rare.
    """
    possible = values > ZERO
    low, high = (values[possible].min(), values[possible].max()) if possible.any() else (0.0, 0.0)
    table = np.concatenate(([ZERO], np.linspace(low, high, BINS - 1)))
    step = (high - low) / (BINS - 2) or 1.0
    bins = np.where(possible, 1 + np.rint((values - low) / step), 0)
    return bins.astype(np.int64), table


def _closed(values: Array) -> Array:
    """The values and one entry more, which ends the array in the file."""
    return np.append(values, 0)


def _packed_bytes(entries: int, bits: int) -> int:
    return ((1 + entries) * bits + 7) // 8 + 8


def _pack(fields: list[tuple[Array, int]]) -> bytes:
    """Bit-pack columns of numbers, lowest bit first, and pad as the reader expects."""
    count, total = len(fields[0][0]), sum(bits for _, bits in fields)
    packed = []
    for start in range(0, count, _BLOCK):
        columns = [
            np.unpackbits(
                values[start : start + _BLOCK].astype("<u4").view(np.uint8).reshape(-1, 4), axis=1, bitorder="little"
            )[:, :bits]
            for values, bits in fields
        ]
        packed.append(np.packbits(np.concatenate(columns, axis=1).ravel(), bitorder="little").tobytes())
    data = b"".join(packed)
    return data + bytes(_packed_bytes(count - 1, total) - len(data))


def _lengths(starts: Array) -> Array:
    """Length of each part, given where each starts and the last one ends."""
    ends: Array = starts[1:].astype(np.int64)
    return ends - starts[:-1].astype(np.int64)


def _unpack(data: bytes, at: int, count: int, widths: list[int]) -> list[Array]:
    """Columns of bit-packed numbers."""
    total = sum(widths)
    # Every 8 bytes of the file as a number, overlapping: a field of at most 25 bits lies within one of them.
    numbers: Array = np.ndarray((_packed_bytes(count - 1, total) - 7,), "<u8", data, at, (1,))
    position = np.arange(count, dtype=np.int64) * total
    columns = []
    for width in widths:
        mask = np.uint64((1 << width) - 1)
        columns.append(((numbers[position >> 3] >> (position & 7).astype(np.uint64)) & mask).astype(np.int64))
        position = position + width
    return columns
