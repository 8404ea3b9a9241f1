"""The acoustic model moved towards the voices and rooms of the training recordings: MLLR, then MAP, of the means.

Both work on the same statistics: how much of each Gaussian was heard, and the sum of what was heard of it. MLLR (Leggetter and
Woodland 1995) moves all means together by one affine map for each stream, also those that were never heard; MAP (Gauvain and Lee
1994) then moves each mean towards what was heard of it, the further the more was heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speech_mlflow.emulator.audio import pcm_seconds, to_pcm16k
from speech_mlflow.emulator.sphinx.acoustic import AcousticModel, shipped_model
from speech_mlflow.emulator.sphinx.alignment import Aligned, Aligner
from speech_mlflow.errors import AudioError

Array = npt.NDArray[Any]

TAU = 10.0
"""Weight of the old mean in MAP, in frames."""
RIDGE = 100.0
"""Frames' worth of belief in "no change" that MLLR starts from, so that a minute of speech cannot wreck it."""
MAX_SECONDS = 40.0
"""Longer recordings are not used, as in the service: only their transcripts are."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Occupation of each Gaussian (phones x streams x Gaussians, in frames), weighted sums of the features (x 13), and totals."""

    occupation: Array
    sums: Array
    frames: int
    log_likelihood: float
    seconds: float
    used: int
    skipped: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.occupation + other.occupation,
            self.sums + other.sums,
            self.frames + other.frames,
            self.log_likelihood + other.log_likelihood,
            self.seconds + other.seconds,
            self.used + other.used,
            self.skipped + other.skipped,
        )


def empty(model: AcousticModel) -> Statistics:
    """Nothing heard yet."""
    return Statistics(np.zeros(model.means.shape[:3]), np.zeros(model.means.shape), 0, 0.0, 0.0, 0)


def collect(dictionary: Path, items: list[tuple[Path, list[str]]]) -> Statistics:
    """Statistics of recordings (WAV file, words said), each aligned by the shipped model. Runs in a worker process."""
    model = shipped_model()
    total = empty(model)
    aligner = Aligner(dictionary)
    try:
        for path, words in items:
            total = total + _one(aligner, model, path, words)
    finally:
        aligner.close()
    return total


def _one(aligner: Aligner, model: AcousticModel, path: Path, words: list[str]) -> Statistics:
    nothing = empty(model)

    def skip(reason: str) -> Statistics:
        return Statistics(nothing.occupation, nothing.sums, 0, 0.0, 0.0, 0, ((path.name, reason),))

    try:
        pcm = to_pcm16k(path.read_bytes(), name=path.name)
    except (AudioError, OSError) as error:
        return skip(str(error))
    if pcm_seconds(pcm) > MAX_SECONDS:
        return skip(f"longer than {MAX_SECONDS:.0f} s: only its transcript was used")
    if not words:
        return skip("its transcript has no words")
    aligned = aligner.align(pcm, words)
    if aligned is None:
        return skip("what is said does not fit the transcript")
    return accumulate(model, aligned, pcm_seconds(pcm))


def accumulate(model: AcousticModel, aligned: Aligned, seconds: float) -> Statistics:
    """Statistics of one aligned recording under the model.

    In each frame and stream, the Gaussians of the frame's phone share it by their weight in its senone times their density.
    """
    total, means = empty(model), model.means
    phones = np.array([model.phones[name] for name in aligned.phones])
    likelihood = 0.0
    for phone in np.unique(phones):
        frames = np.flatnonzero(phones == phone)
        for stream in range(means.shape[1]):
            x = aligned.features[frames, stream]
            density = _log_density(x, means[phone, stream], model.variances[phone, stream])
            joint = density + model.weights[stream][:, aligned.senones[frames]].T
            top = joint.max(axis=1, keepdims=True)
            share = np.exp(joint - top)
            whole = share.sum(axis=1, keepdims=True)
            likelihood += float((np.log(whole) + top).sum())
            share /= whole
            total.occupation[phone, stream] += share.sum(axis=0)
            total.sums[phone, stream] += share.T @ x
    return Statistics(total.occupation, total.sums, len(phones), likelihood, seconds, 1)


def _log_density(x: Array, means: Array, variances: Array) -> Array:
    """Logarithm of diagonal Gaussians: frames x Gaussians."""
    constant = -0.5 * (np.log(2 * np.pi * variances) + means**2 / variances).sum(axis=1)
    return np.asarray(constant + x @ (means / variances).T - 0.5 * (x**2) @ (1 / variances).T)


def adapted_means(model: AcousticModel, statistics: Statistics) -> Array:
    """Means after MLLR and MAP."""
    moved = mllr(model, statistics)
    occupation = statistics.occupation[..., None]
    return np.asarray((TAU * moved + statistics.sums) / (TAU + occupation))


def mllr(model: AcousticModel, statistics: Statistics) -> Array:
    """Means moved by the affine map of each stream that makes what was heard likeliest.

    For each dimension the map's row solves ``(sum occ/var xi xi') w = sum (sums/var) xi`` with ``xi = (1, mean)``.
    """
    moved = np.empty_like(model.means)
    for stream in range(model.means.shape[1]):
        means = model.means[:, stream].reshape(-1, model.means.shape[-1])
        inverse = 1.0 / model.variances[:, stream].reshape(means.shape)
        extended = np.hstack([np.ones((len(means), 1)), means])
        occupation = statistics.occupation[:, stream].reshape(-1, 1) * inverse
        sums = statistics.sums[:, stream].reshape(means.shape) * inverse
        # The prior: every Gaussian was heard a little, exactly where it is.
        occupation = occupation + RIDGE / len(means) * inverse
        sums = sums + RIDGE / len(means) * inverse * means
        left = np.einsum("gi,ga,gb->iab", occupation, extended, extended, optimize=True)
        right = np.einsum("gi,ga->ia", sums, extended)
        rows = np.linalg.solve(left, right[..., None])[..., 0]
        moved[:, stream] = (extended @ rows.T).reshape(moved[:, stream].shape)
    return moved
