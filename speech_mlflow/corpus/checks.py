"""What the service documents about whole files and whole corpora, per kind of data.

Source: "Training and testing datasets" and "Speech service quotas and limits" in the service's documentation. Rules on single
lines are in :mod:`speech_mlflow.corpus.rules`; rules on the notation of a kind are with its parser.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from speech_mlflow.corpus.records import Problem, Utterance, ascii_controls, error, excerpt, warning
from speech_mlflow.corpus.scan import Recording
from speech_mlflow.corpus.text import Text
from speech_mlflow.corpus.transcript import Transcript
from speech_mlflow.corpus.wav import SERVICE_RATES

MB = 1 << 20
"""The documentation says MB and GB; whether it means 10⁶ or 2²⁰ is not said. An error must be sure, so the larger."""

MAX_ZIP = 2 << 30
MAX_FILES = 10_000
MAX_TRAINING_SECONDS = 40
"""Of a longer recording, training uses the transcript only."""

MAX_TEXT = {"Language": 1_500 * MB, "LanguageMarkdown": 200 * MB, "Pronunciation": 1 * MB, "OutputFormatting": 10 * MB}
"""Bytes of a text file: the quotas of the standard tier (S0), and the rules of the formats."""

ADVISED_LANGUAGE = 200 * MB
"""One page gives this limit for plain text, another 1.5 GB."""

ADVISED_LINES = 20_000
"""Lines of Japanese or Korean text in one file; more may time out."""

ADVISED_HOURS = {"testing": (0.5, 5.0), "training": (0.5, 100.0)}
"""Hours of audio that make sense. Of more than 100 hours, training uses 100."""

OUTPUT_FORMAT_LOCALES = (
    *("da-DK", "de-DE", "en-AU", "en-CA", "en-GB", "en-HK", "en-IE", "en-IN", "en-NG", "en-NZ", "en-PH", "en-SG", "en-US"),
    *("es-ES", "es-MX", "fi-FI", "fr-CA", "fr-FR", "hi-IN", "it-IT", "ja-JP", "ko-KR", "nb-NO", "nl-NL", "pl-PL", "pt-BR"),
    *("pt-PT", "sv-SE", "tr-TR", "zh-CN", "zh-HK"),
)
"""Locales that the documentation lists for display text format."""


def check_recordings(recordings: Sequence[Recording], where: str, purpose: str | None) -> Iterator[Problem]:
    """Problems of the recordings themselves: header, format, length, number, hours."""
    for recording in recordings:
        if recording.problem is not None:
            yield recording.problem
        if recording.wav is None:
            continue
        path, wav = ascii_controls(recording.member.path), recording.wav
        if wav.sample_rate not in SERVICE_RATES:
            what = f"has {wav.sample_rate:,} Hz; the service documents 8,000 and 16,000 Hz"
            yield warning("sample-rate", what, path, hint="convert it: sox FILE -r 16k NEW.wav")
        if wav.channels != 1:
            what = "has two channels; the service documents one"
            yield warning("stereo", what, path, hint="convert it: sox FILE -c 1 NEW.wav")
        if wav.cut_off:
            what = f"is cut off: its header promises {wav.declared_bytes:,} bytes of audio, there are {wav.data_bytes:,}"
            yield warning("cut-off", what, path, hint="copy it again from where it came from")
        if purpose != "testing" and wav.seconds > MAX_TRAINING_SECONDS:
            what = f"lasts {wav.seconds:.0f} s; beyond {MAX_TRAINING_SECONDS} s, training uses the transcript only"
            yield warning("long-for-training", what, path, hint="cut it into sentences")
    yield from _check_together(recordings, where, purpose)


def _check_together(recordings: Sequence[Recording], where: str, purpose: str | None) -> Iterator[Problem]:
    seconds = [recording.wav.seconds for recording in recordings if recording.wav is not None]
    if not recordings:
        yield error("no-audio", "there are no WAV files", where, hint="put them beside the transcript")
    if len(recordings) > MAX_FILES:
        what = f"there are {len(recordings):,} recordings; at most {MAX_FILES:,} are taken"
        yield error("many-files", what, where, hint="split the corpus")
    if purpose == "training" and seconds and min(seconds) > MAX_TRAINING_SECONDS:
        what = f"every recording is longer than {MAX_TRAINING_SECONDS} s: training with audio fails"
        yield error("long-for-training", what, where, hint="cut them into sentences")
    if purpose in ADVISED_HOURS and seconds:
        least, most = ADVISED_HOURS[purpose]
        if not least <= sum(seconds) / 3600 <= most:
            advice = f"for {purpose}, {least * 60:.0f} minutes to {most:.0f} hours are advised"
            yield warning("hours", f"there are {sum(seconds) / 60:.1f} minutes of audio; {advice}", where)


def check_transcript(transcript: Transcript, names: Mapping[str, str], where: str) -> Iterator[Problem]:
    """Whether transcript and recordings belong together; ``names`` maps the recordings' names to their paths."""
    folded = {name.casefold(): name for name in names}
    told = {line.id for line in transcript.lines}
    for line in transcript.lines:
        if line.id in names:
            continue
        near = folded.get(line.id.casefold())
        hint = f"there is {excerpt(near)}: upper and lower case differ" if near else "add it, or take the line out"
        yield error("missing-audio", f"there is no recording {excerpt(line.id)}", transcript.file, line.number, hint)
    for name, path in names.items():
        if name not in told | transcript.unread:  # of a line that cannot be read it is told what is wrong with it
            hint = f"add a line to {transcript.file}"
            yield warning("audio-without-transcript", "has no transcript and is not uploaded", ascii_controls(path), hint=hint)
    if not told & names.keys():
        yield error("nothing-left", "no recording has a transcript", where)


def check_storage(text: Text, kind: str, locale: str) -> Iterator[Problem]:
    """Whether the file has the byte order mark that is asked for. English may do without where it is ASCII."""
    english = locale.lower().startswith("en")
    exempt = english and (kind == "Pronunciation" or (kind == "Acoustic" and text.encoding == "ascii"))
    if not text.bom and text.encoding in ("ascii", "utf-8") and not exempt:
        what = "the file has no byte order mark; it is uploaded with one"
        yield warning("no-bom", what, text.file, hint="save it as UTF-8 with BOM")


def check_text_file(text: Text, kind: str, locale: str, size: int) -> Iterator[Problem]:
    """Problems of a text file as a whole; ``size`` in bytes."""
    yield from check_storage(text, kind, locale)
    if kind == "Language":
        if size > ADVISED_LANGUAGE:
            yield warning("large", f"the file has {size / MB:.0f} MB; one page of the documentation allows 200", text.file)
        if locale[:2] in ("ja", "ko") and len(text.lines) > ADVISED_LINES:
            what = f"there are {len(text.lines):,} lines; importing more than {ADVISED_LINES:,} may time out"
            yield warning("many-lines", what, text.file, hint="split the file")
        if not any(line.strip() for line in text.lines):
            yield error("no-lines", "there is no sentence in it", text.file)
    if kind == "OutputFormatting" and locale not in OUTPUT_FORMAT_LOCALES:
        yield warning("locale", f"display text format is not documented for {locale}", text.file)


def hours(utterances: Iterable[Utterance]) -> float:
    """Hours of audio."""
    return sum(utterance.seconds for utterance in utterances) / 3600
