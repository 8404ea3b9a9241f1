"""The readers through ``read_corpus``, on small corpora of each layout, right and wrong."""

from __future__ import annotations

import io
import json
import math
import struct
import wave
from pathlib import Path

import pytest
import speech_mlflow_readers as plugin

from speech_mlflow.corpus import Corpus, CorpusReader, read_corpus
from speech_mlflow.corpus.records import Problem
from speech_mlflow.errors import CorpusError
from speech_mlflow.plugins import create_manager, registered

RATE = 16_000


@pytest.fixture(scope="module")
def readers() -> dict[str, CorpusReader]:
    """The built-in readers and ours, as they are when the package is installed."""
    manager = create_manager({"SPEECH_MLFLOW_DISABLED_PLUGINS": "*"})
    manager.register(plugin, name="readers")
    found: dict[str, CorpusReader] = registered("register_corpus_readers", lambda reader: reader.name, manager=manager)
    assert [*found][-3:] == ["nemo", "kaldi", "common-voice"]
    return found


def tone(path: Path, pitch: int, seconds: float = 1.0) -> bytes:
    """Write a tone; the samples."""
    count = int(seconds * RATE)
    frames = b"".join(struct.pack("<h", int(9000 * math.sin(n * pitch * 2 * math.pi / RATE))) for n in range(count))
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, count, "NONE", ""))
        file.writeframes(frames)
    return frames


def texts(corpus: Corpus) -> dict[str, str]:
    return {utterance.id: utterance.text for utterance in corpus.utterances}


def errors(corpus: Corpus) -> list[tuple[str, str, int | None]]:
    return [(problem.code, problem.file, problem.line) for problem in corpus.errors]


def problem(corpus: Corpus, code: str) -> Problem:
    return next(problem for problem in corpus.problems if problem.code == code)


def test_nemo_manifest(tmp_path: Path, readers: dict[str, CorpusReader]) -> None:
    frames = tone(tmp_path / "wavs" / "a.wav", 200)
    tone(tmp_path / "elsewhere" / "b.wav", 300)
    manifest = tmp_path / "train.json"
    entries: list[object] = [
        {"audio_filepath": "wavs/a.wav", "duration": 1.0, "text": "good  morning"},
        {"audio_filepath": str(tmp_path / "elsewhere" / "b.wav"), "duration": 1.0, "text": "good night"},
    ]
    manifest.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    corpus = read_corpus(manifest, locale="en-US", readers=readers)
    assert corpus.kind == "Acoustic"
    assert corpus.errors == ()
    assert texts(corpus) == {"a.wav": "good morning", "b.wav": "good night"}
    assert corpus.audio("a.wav").endswith(frames)
    assert corpus.write_upload(tmp_path).suffix == ".zip"


def test_nemo_manifest_with_mistakes_names_each_line(tmp_path: Path, readers: dict[str, CorpusReader]) -> None:
    tone(tmp_path / "a.wav", 200)
    manifest = tmp_path / "train.jsonl"
    lines = [
        '{"audio_filepath": "a.wav", "text": "good morning"}',
        "nonsense",
        "",
        '{"audio_filepath": "a.wav", "offset": 1.5, "text": "cut"}',
        '{"audio_filepath": "c.flac", "text": "flac"}',
        '{"audio_filepath": "d.wav", "text": " "}',
        '{"audio_filepath": "gone.wav", "text": "gone"}',
        '{"audio_filepath": "./a.wav", "text": "again"}',
    ]
    manifest.write_text("\n".join(lines), encoding="utf-8")
    corpus = read_corpus(manifest, locale="en-US", readers=readers)
    assert texts(corpus) == {"a.wav": "good morning"}
    found = {line: code for code, _, line in errors(corpus)}
    assert {2: "manifest", 4: "offset", 5: "not-wav", 6: "empty-text", 8: "duplicate-line"}.items() <= found.items()
    assert 7 in found  # the missing recording is found by the check that all layouts share
    with pytest.raises(CorpusError, match=r"train\.jsonl:4"):
        corpus.check()


def test_same_names_in_two_folders_stay_apart(tmp_path: Path, readers: dict[str, CorpusReader]) -> None:
    tone(tmp_path / "one" / "a.wav", 200)
    tone(tmp_path / "two" / "a.wav", 300)
    manifest = tmp_path / "m.json"
    manifest.write_text(
        '{"audio_filepath": "one/a.wav", "text": "first"}\n{"audio_filepath": "two/a.wav", "text": "second"}\n',
        encoding="utf-8",
    )
    corpus = read_corpus(manifest, locale="en-US", readers=readers)
    assert corpus.errors == ()
    assert texts(corpus) == {"one-a.wav": "first", "two-a.wav": "second"}


def kaldi(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return folder


def test_kaldi_directory(tmp_path: Path, readers: dict[str, CorpusReader]) -> None:
    tone(tmp_path / "wav" / "1.wav", 200)
    tone(tmp_path / "wav" / "2.wav", 300)
    folder = kaldi(
        tmp_path / "data",
        wav_scp=f"spk1-u1 ../wav/1.wav\nspk2/u2\t{tmp_path}/wav/2.wav\nspk3-u3 ../wav/1.wav\n",
        text="spk1-u1 good morning\nspk2/u2 good night\n",
    )
    corpus = read_corpus(folder, locale="en-US", readers=readers)
    assert corpus.errors == ()
    assert texts(corpus) == {"spk1-u1.wav": "good morning", "spk2-u2.wav": "good night"}
    assert "spk3-u3" in problem(corpus, "no-text").message


def test_kaldi_command_is_reported_and_never_run(tmp_path: Path, readers: dict[str, CorpusReader]) -> None:
    tone(tmp_path / "1.wav", 200)
    ran = tmp_path / "ran"
    folder = kaldi(
        tmp_path / "data",
        wav_scp=f"u1 ../1.wav\nu2 touch {ran}; cat ../1.wav |\n",
        text="u1 good morning\nu2 good night\nu3 nobody\n",
    )
    corpus = read_corpus(folder, locale="en-US", readers=readers)
    assert texts(corpus) == {"u1.wav": "good morning"}
    assert ("command", "wav.scp", 2) in errors(corpus)
    assert ("no-audio", "text", 3) in errors(corpus)
    assert not ran.exists()


def test_kaldi_segments_are_cut_out_to_the_sample(tmp_path: Path, readers: dict[str, CorpusReader]) -> None:
    frames = tone(tmp_path / "long.wav", 200, seconds=3)
    folder = kaldi(
        tmp_path / "data",
        wav_scp="rec ../long.wav\n",
        segments="u1 rec 0.5 1.25\nu2 rec 2 -1\nu3 rec 2.5 9\nu4 other 0 1\nu6 rec 0 inf\n",
        text="u1 good morning\nu2 good night\nu3 too long\nu4 nowhere\nu5 unlisted\nu6 for ever\n",
    )
    corpus = read_corpus(folder, locale="en-US", readers=readers)
    assert texts(corpus) == {"u1.wav": "good morning", "u2.wav": "good night"}
    assert [utterance.seconds for utterance in corpus.utterances] == [0.75, 1.0]
    with wave.open(io.BytesIO(corpus.audio("u1.wav"))) as part:
        assert part.readframes(RATE) == frames[RATE : RATE + RATE * 2 * 3 // 4]
    expected = {("segment", "text", 3), ("no-audio", "text", 4), ("no-audio", "text", 5), ("segment", "text", 6)}
    assert expected <= set(errors(corpus))


def test_common_voice_table(tmp_path: Path, readers: dict[str, CorpusReader]) -> None:
    tone(tmp_path / "clips" / "cv_1.wav", 200)
    (tmp_path / "clips" / "cv_2.mp3").write_bytes(b"ID3")
    rows = [
        "client_id\tpath\tsentence\tup_votes",
        'x\tcv_1.mp3\tShe said "hello.\t2',
        "y\tcv_2.mp3\tGood night.\t2",
        "z\t\tNo.\t0",
    ]
    table = tmp_path / "validated.tsv"
    table.write_text("\n".join(rows), encoding="utf-8")
    corpus = read_corpus(table, locale="en-US", readers=readers)
    assert texts(corpus) == {"cv_1.wav": 'She said "hello.'}
    assert {("not-wav", "validated.tsv", 3), ("no-audio", "validated.tsv", 4)} <= set(errors(corpus))
    assert "sox" in (problem(corpus, "not-wav").hint or "")


def test_other_layouts_are_left_to_their_readers(tmp_path: Path, readers: dict[str, CorpusReader]) -> None:
    tone(tmp_path / "data" / "a.wav", 200)
    transcript = tmp_path / "data" / "trans.tsv"
    transcript.write_text("a.wav\tgood morning\n", encoding="utf-8")
    other = tmp_path / "other.json"
    other.write_text('{"path": "a.wav"}\n', encoding="utf-8")
    for path in (tmp_path / "data", transcript, other):
        assert not any(readers[name].reads(path) for name in ("nemo", "kaldi", "common-voice")), path
    assert texts(read_corpus(tmp_path / "data", locale="en-US", readers=readers)) == {"a.wav": "good morning"}


def test_a_file_that_is_no_text_is_named(tmp_path: Path, readers: dict[str, CorpusReader]) -> None:
    manifest = tmp_path / "m.json"
    manifest.write_bytes(b'{"audio_filepath": "a.wav", "text": "x"}\n\xff\xfe\n')
    with pytest.raises(CorpusError, match=r"m\.json: is no UTF-8 text"):
        read_corpus(manifest, locale="en-US", readers=readers)
