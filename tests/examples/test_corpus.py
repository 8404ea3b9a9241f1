"""The example corpus: what it promises about its sentences, recordings and size, and that its script makes it again."""

from __future__ import annotations

import array
import csv
import hashlib
import importlib
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from types import ModuleType

import pytest

from speech_mlflow.corpus import read_corpus

CLINIC = Path(__file__).parents[2] / "examples" / "clinic"
AUDIO = {
    "training": CLINIC / "training" / "audio-and-transcripts",
    "training-more": CLINIC / "training-more" / "audio-and-transcripts",
    "testing": CLINIC / "testing",
}
RELATED = [CLINIC / "training" / "related-text.txt", CLINIC / "training-more" / "related-text.txt"]
PRONUNCIATIONS = [CLINIC / "training" / "pronunciations.txt", CLINIC / "training-more" / "pronunciations.txt"]
PROGRAMS = ("flite", "espeak-ng", "sox")
MEGABYTES = 8


def words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z']+", text.lower()))


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig").splitlines()


def transcripts(part: str) -> dict[str, str]:
    pairs = [line.partition("\t")[::2] for line in lines(AUDIO[part] / "transcripts.txt")]
    assert all(text and "\t" not in text for _, text in pairs)
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def training_sentences() -> list[str]:
    spoken = [text for part in ("training", "training-more") for text in transcripts(part).values()]
    return spoken + [line for path in RELATED for line in lines(path)]


def recordings() -> list[Path]:
    return sorted(path for folder in AUDIO.values() for path in folder.glob("*.wav"))


def samples(path: Path) -> tuple[wave._wave_params, array.array[int]]:
    with wave.open(str(path), "rb") as file:
        return file.getparams(), array.array("h", file.readframes(file.getnframes()))


def metadata() -> dict[str, dict[str, str]]:
    with (CLINIC / "metadata.csv").open(encoding="ascii", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def dictionary() -> set[str]:
    pocketsphinx = importlib.import_module("pocketsphinx")
    path = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
    return {line.split(maxsplit=1)[0] for line in path.read_text(encoding="utf-8").splitlines()}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(CLINIC))
    return importlib.import_module("make_corpus")


def test_every_recording_has_a_transcript_and_the_other_way_round() -> None:
    for part, folder in AUDIO.items():
        assert {path.name for path in folder.glob("*.wav")} == set(transcripts(part)), part
        assert {path.suffix for path in folder.iterdir()} == {".wav", ".txt"}, part


def test_recordings_are_16_khz_16_bit_mono_and_short() -> None:
    for path in recordings():
        params, _ = samples(path)
        assert (params.framerate, params.sampwidth, params.nchannels, params.comptype) == (16_000, 2, 1, "NONE"), path
        assert 0.5 < params.nframes / params.framerate < 6, path


def test_no_recording_is_clipped_or_silent() -> None:
    for path in recordings():
        _, values = samples(path)
        peak = max(abs(value) for value in values) / 32768
        power = (sum(value * value for value in values) / len(values)) ** 0.5 / 32768
        assert 0.4 < peak < 0.9, path
        assert 0.02 < power < 0.3, path


def test_test_set_is_large_enough_to_compare_and_small_enough_to_wait_for() -> None:
    assert len(transcripts("testing")) >= 60
    seconds = sum(params.nframes / params.framerate for params, _ in map(samples, AUDIO["testing"].glob("*.wav")))
    assert 100 < seconds < 240


def test_metadata_names_each_recording_and_at_least_five_voices() -> None:
    rows = metadata()
    assert set(rows) == {path.name for path in recordings()}
    testing = [rows[name]["voice"] for name in transcripts("testing")]
    assert len(set(testing)) >= 5
    assert all(testing.count(voice) >= 5 for voice in set(testing))
    assert sum(voice.startswith("espeak") for voice in testing) / len(testing) < 0.1
    assert {row["noise"] for row in rows.values()} == {"none", "25 dB"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("training/audio-and-transcripts", "Acoustic"),
        ("training/related-text.txt", "Language"),
        ("training/pronunciations.txt", "Pronunciation"),
        ("training-more/audio-and-transcripts", "Acoustic"),
        ("training-more/related-text.txt", "Language"),
        ("training-more/pronunciations.txt", "Pronunciation"),
        ("testing", "Acoustic"),
    ],
)
def test_the_service_would_take_it_without_an_error(path: str, kind: str) -> None:
    corpus = read_corpus(CLINIC / path, locale="en-US", purpose="testing" if path == "testing" else "training")
    assert corpus.kind == kind
    assert corpus.errors == ()
    assert corpus.profile()["rejected_lines"] == 0
    if path == "testing":
        assert all(set(utterance.groups) == {"voice", "noise"} for utterance in corpus.utterances)


def test_no_test_sentence_is_in_the_training_data() -> None:
    training = {words(sentence) for sentence in training_sentences()}
    testing = [words(sentence) for sentence in transcripts("testing").values()]
    assert training.isdisjoint(testing)
    assert len(set(testing)) == len(testing)


def test_no_training_sentence_comes_twice() -> None:
    training = [words(sentence) for sentence in training_sentences()]
    assert len(set(training)) == len(training)
    assert len(training) > 500


def test_templates_of_the_test_are_not_those_of_the_training(script: ModuleType) -> None:
    said = script.said
    shape = {part: {words(said.SLOT.sub(" ", text)) for text in getattr(said, part)} for part in ("FIRST", "MORE", "TESTING")}
    exact = {part: set(getattr(said, part)) for part in shape}
    assert exact["TESTING"].isdisjoint(exact["FIRST"] | exact["MORE"])
    assert shape["TESTING"].isdisjoint(shape["FIRST"] | shape["MORE"])
    assert exact["FIRST"].isdisjoint(exact["MORE"])


def test_no_audio_comes_twice() -> None:
    digests = [hashlib.sha256(samples(path)[1].tobytes()).digest() for path in recordings()]
    assert len(set(digests)) == len(digests)


def test_words_of_the_test_are_in_the_training_data_or_the_general_vocabulary() -> None:
    taught = {word for sentence in training_sentences() for word in words(sentence)}
    unseen = {word for text in transcripts("testing").values() for word in words(text)} - taught
    assert unseen <= dictionary(), "terms that no model could know"


def test_most_terms_are_new_to_the_base_model_and_taught_in_the_training_text(script: ModuleType) -> None:
    said, known = script.said, dictionary()
    terms = [term for values in said.terms(more=True).values() for term in values]
    assert sum(term not in known for term in terms) / len(terms) > 0.9
    first = {word for line in lines(RELATED[0]) for word in words(line)}
    assert first >= {term for values in said.terms(more=False).values() for term in values}
    assert first | {word for line in lines(RELATED[1]) for word in words(line)} >= set(terms)


def test_pronunciations_are_pairs_of_a_term_and_ordinary_words(script: ModuleType) -> None:
    terms = {term for values in script.said.terms(more=True).values() for term in values}
    known = dictionary()
    for path in PRONUNCIATIONS:
        pairs = [line.split("\t") for line in lines(path)]
        assert all(len(pair) == 2 for pair in pairs), path
        assert len({shown for shown, _ in pairs}) == len(pairs), path
        for shown, spoken in pairs:
            assert shown in terms, shown
            assert not set(words(spoken)) - known, spoken


def test_texts_are_plain_ascii_lines_without_repetition() -> None:
    for path in [*RELATED, *PRONUNCIATIONS, *(folder / "transcripts.txt" for folder in AUDIO.values())]:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        assert data.endswith(b"\n"), path
        assert b"\r" not in data, path
        assert all(32 <= byte < 127 or byte in b"\t\n" for byte in data), path
        assert not re.search(rb"\b(\w+)(?: \1\b){2}", data), path


def test_corpus_is_small() -> None:
    size = sum(path.stat().st_size for path in CLINIC.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert size <= MEGABYTES * 1_000_000


def test_sampler_says_when_its_templates_are_used_up(script: ModuleType) -> None:
    sampler = script.said.Sampler(1, {"drug": ("apixaban", "warfarin")}, set())
    assert len(sampler.draw(["Stop {drug}"], 2)) == 2
    with pytest.raises(ValueError, match="only 0 of 1 sentences"):
        sampler.draw(["Stop {drug}"], 1)


@pytest.mark.slow
def test_script_makes_the_same_files_again(script: ModuleType, tmp_path: Path) -> None:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    recorded, here = lines(CLINIC / "versions.txt"), script.versions()
    if recorded != here:
        pytest.skip(f"the corpus was made with {recorded}, here is {here}")
    subprocess.run([sys.executable, str(CLINIC / "make_corpus.py"), str(tmp_path)], check=True)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(made) > 100
    for path, data in made.items():
        assert (CLINIC / path).read_bytes() == data, path


def test_base_model_understands_every_voice_on_ordinary_words() -> None:
    """The fall of WER is due to terms and manner of speaking, not to recordings that nobody could understand."""
    pocketsphinx = importlib.import_module("pocketsphinx")
    decoder = pocketsphinx.Decoder(loglevel="FATAL")
    rows, known = metadata(), dictionary()
    ordinary: dict[str, list[tuple[str, tuple[str, ...]]]] = {row["voice"]: [] for row in rows.values()}
    for name, text in transcripts("testing").items():
        if known.issuperset(words(text)):
            ordinary[rows[name]["voice"]].append((name, words(text)))
    for voice, utterances in ordinary.items():
        said, heard = 0, 0
        for name, reference in utterances[:3]:
            decoder.reinit_feat()
            decoder.start_utt()
            decoder.process_raw(samples(AUDIO["testing"] / name)[1].tobytes(), full_utt=True)
            decoder.end_utt()
            hypothesis = words(decoder.hyp().hypstr if decoder.hyp() else "")
            said += len(reference)
            heard += sum(word in hypothesis for word in reference)
        assert said >= 8, voice
        assert heard / said > 0.7, voice
