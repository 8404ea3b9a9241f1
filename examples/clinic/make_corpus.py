"""Make the example corpus again: ``python make_corpus.py [DIRECTORY]`` (default: the directory of this file).

Needs flite, espeak-ng and sox on the PATH (Debian: ``apt-get install flite espeak-ng sox``). With the same versions of the
three on the same kind of processor (``versions.txt``) the files come out the same, byte for byte. ``sentences.py`` says what is
dictated.
"""

from __future__ import annotations

import array
import csv
import platform
import random
import re
import subprocess
import sys
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sentences as said

RATE = 16_000
PEAK = 0.5  # of full scale: loud enough for 16 bit, far from clipping
QUIET = 0.01  # of full scale: below this, a recording's ends are silence
MARGIN = 0.1  # seconds of silence kept at both ends: synthesisers leave more, and it only takes room
NOISE_DB = 25  # speech to noise ratio of the noisy recordings: a quiet ventilator, not a ward round
SPEED = "0.88"  # flite's duration_stretch: a brisk dictation

FLITE = ("slt", "rms", "awb", "kal16")
ESPEAK = {"espeak-f5": "en-us+f5"}
SPEAKERS = {
    "training": ("slt", "rms"),
    "training-more": ("awb", "kal16", "rms", "awb", "kal16", "slt", "espeak-f5"),
    "testing": ("slt", "rms", "awb", "kal16", "slt", "rms", "awb", "kal16", "slt", "rms", "awb", "espeak-f5"),
}
"""Who speaks in each part, in turn. espeak-ng sounds least human and is hardest to recognise, so it says little."""


@dataclass(frozen=True)
class Recording:
    """One utterance to speak. ``noise`` is a ratio in dB, or None for a clean recording."""

    id: str
    part: str
    text: str
    voice: str
    noise: int | None


def plan() -> tuple[list[Recording], dict[str, list[str]]]:
    """All recordings, and the lines of the two related texts by directory. No sentence is drawn twice."""
    taken: set[tuple[str, ...]] = set()
    testing = said.Sampler(3, said.terms(more=True), taken).draw(said.TESTING, 66)
    first = said.Sampler(1, said.terms(more=False), taken)
    more = said.Sampler(2, said.terms(more=True), taken)
    first_spoken, first_text = first.draw(said.FIRST, 18), first.draw(said.FIRST, 200)
    more_spoken, more_text = more.draw(said.MORE, 23), more.draw(said.FIRST + said.MORE, 400)
    recordings = (
        record(first_spoken, "training", "a") + record(more_spoken, "training-more", "b") + record(testing, "testing", "t")
    )
    return recordings, {"training": first_text, "training-more": more_text}


def record(texts: Sequence[str], part: str, letter: str) -> list[Recording]:
    """The voices of a part take turns; every fifth recording has some noise."""
    voices = SPEAKERS[part]
    return [
        Recording(f"{letter}{n + 1:02d}.wav", part, text, voices[n % len(voices)], NOISE_DB if n % 5 == 4 else None)
        for n, text in enumerate(texts)
    ]


def synthesise(recording: Recording, lexicon: Path, scratch: Path) -> array.array[int]:
    """Speak one text; its samples at 16 kHz, as the synthesiser left them."""
    spoken, converted = scratch / "spoken.wav", scratch / "converted.wav"
    if recording.voice in FLITE:
        command = ["flite", "-voice", recording.voice, "--setf", f"duration_stretch={SPEED}"]
        run(*command, "-add_lex", str(lexicon), "-t", recording.text, "-o", str(spoken))
    else:
        run("espeak-ng", "-v", ESPEAK[recording.voice], "-s", "165", "-a", "70", "-w", str(spoken), recording.text)
    # -D: no dither, which would be different each time.
    run("sox", "-D", str(spoken), "-b", "16", "-c", "1", str(converted), "rate", "-v", str(RATE))
    return read_wav(converted)


def run(*command: str) -> None:
    """Run a program; RuntimeError with what it said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")


def finish(samples: array.array[int], noise: int | None, seed: str) -> array.array[int]:
    """Cut long silence at the ends, bring the peak to PEAK, and add noise where asked."""
    loud = [i for i, value in enumerate(samples) if abs(value) > QUIET * 32768]
    margin = int(MARGIN * RATE)
    cut = samples[max(loud[0] - margin, 0) : loud[-1] + margin]
    gain = PEAK * 32767 / max(abs(value) for value in cut)
    scaled = [value * gain for value in cut]
    if noise is not None:
        scaled = add_noise(scaled, noise, seed)
    return array.array("h", (round(value) for value in scaled))


def add_noise(samples: list[float], ratio: int, seed: str) -> list[float]:
    """Add low-pass noise, ``ratio`` dB below the speech (mean power over the whole recording)."""
    source = random.Random(seed)  # reproducible noise
    noise: list[float] = []
    level = 0.0
    for _ in samples:
        level = 0.7 * level + source.uniform(-1, 1)
        noise.append(level)
    power = sum(value * value for value in samples) / sum(value * value for value in noise)
    gain = (power / 10 ** (ratio / 10)) ** 0.5
    return [value + gain * extra for value, extra in zip(samples, noise, strict=True)]


def read_wav(path: Path) -> array.array[int]:
    """Samples of a mono 16-bit file."""
    with wave.open(str(path), "rb") as file:
        samples = array.array("h", file.readframes(file.getnframes()))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def write_wav(path: Path, samples: array.array[int]) -> None:
    """Write mono 16-bit samples at 16 kHz."""
    if sys.byteorder == "big":
        samples.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())


def write_lines(path: Path, lines: Sequence[str], encoding: str = "ascii") -> None:
    """Write text lines, LF at the end of each on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))


def versions() -> list[str]:
    """The synthesisers at work: the audio depends on them, and in its last bits on the processor."""

    def first_line(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True)
        return next(line for line in (done.stdout + done.stderr).splitlines() if re.search(r"\d\.\d", line)).strip()

    speak = re.sub(r" +Data at.*", "", first_line("espeak-ng", "--version"))
    sox = re.sub(r"^sox: +", "", first_line("sox", "--version"))
    return [first_line("flite", "--version"), speak, sox, platform.machine()]


def folder(part: str) -> str:
    """Where the recordings of a part lie."""
    return "testing" if part == "testing" else f"{part}/audio-and-transcripts"


def make(target: Path) -> None:
    """Write the whole corpus below ``target``."""
    recordings, related = plan()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        lexicon = scratch / "terms.lex"
        write_lines(lexicon, [f"{word} : {phones}" for word, phones in said.LEXICON.items()])
        for recording in recordings:
            samples = finish(synthesise(recording, lexicon, scratch), recording.noise, recording.id)
            path = target / folder(recording.part) / recording.id
            path.parent.mkdir(parents=True, exist_ok=True)
            write_wav(path, samples)
    for part in ("training", "training-more", "testing"):
        lines = [f"{r.id}\t{r.text}" for r in recordings if r.part == part]
        write_lines(target / folder(part) / "transcripts.txt", lines)
    for part, lines in related.items():
        write_lines(target / part / "related-text.txt", lines, "utf-8-sig")  # the service wants a byte order mark here
    for part, pairs in (("training", said.PRONUNCIATIONS_FIRST), ("training-more", said.PRONUNCIATIONS_MORE)):
        write_lines(target / part / "pronunciations.txt", [f"{shown}\t{spoken}" for shown, spoken in pairs.items()])
    with (target / "metadata.csv").open("w", encoding="ascii", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("id", "voice", "noise"))
        table.writerows((r.id, r.voice, f"{r.noise} dB" if r.noise else "none") for r in recordings)
    write_lines(target / "versions.txt", versions())


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
