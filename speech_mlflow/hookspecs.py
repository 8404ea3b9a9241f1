"""The hooks: where a team puts its own code into speech_mlflow.

A plugin is a Python package with an entry point in the group ``speech_mlflow``::

    [project.entry-points.speech_mlflow]
    my_plugin = "my_plugin"

and a module with functions named like those below, marked with :data:`speech_mlflow.hookimpl`. A function may take fewer
arguments than the hook offers. Each ``register_*`` hook hands over a function ``register`` to be called once per thing; a thing
with a name that is taken replaces the other, but for commands. The examples begin with ``import speech_mlflow``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from speech_mlflow.corpus.readers import CorpusReader
    from speech_mlflow.emulator.engine import Engine
    from speech_mlflow.promotion.decisions import Candidate, Decision
    from speech_mlflow.promotion.events import PromotionEvent
    from speech_mlflow.scoring.evaluators import Evaluator
    from speech_mlflow.scoring.normalize import Normalizer

hookspec = pluggy.HookspecMarker("speech_mlflow")
hookimpl = pluggy.HookimplMarker("speech_mlflow")


@hookspec
def register_evaluators(register: Callable[[Evaluator], None]) -> None:
    """Add evaluators: from aligned utterances to metrics, per-utterance columns and artifacts.

    An evaluator has a ``name`` and a function from :class:`~speech_mlflow.scoring.evaluators.EvaluatorInput` to a mapping of
    metrics, or to an :class:`~speech_mlflow.scoring.evaluators.EvaluatorOutput` when it also has columns, artifacts or
    directions. One that raises fails itself, by name, and not the run. The same evaluators measure on test runs, in
    ``speech-mlflow compare`` and in ``mlflow.models.evaluate(..., evaluators="speech")``.

    Example::

        from speech_mlflow import Evaluator

        @speech_mlflow.hookimpl
        def register_evaluators(register):
            register(Evaluator("empty", lambda given: {"empty_rate":
                sum(not u.hypothesis for u in given.utterances) / len(given.utterances)}))
    """


@hookspec
def register_normalizers(register: Callable[[Normalizer], None]) -> None:
    """Add text normalisers, by locale or by name, applied to references and hypotheses before scoring.

    A :class:`~speech_mlflow.scoring.normalize.Normalizer` has a ``name`` (a locale, or a word to choose it by) and a pure function
    from text to words that are separated by single spaces.

    Example::

        from speech_mlflow import Normalizer

        @speech_mlflow.hookimpl
        def register_normalizers(register):
            register(Normalizer("upper", str.upper))
    """


@hookspec
def register_corpus_readers(register: Callable[[CorpusReader], None]) -> None:
    """Add readers of other corpus layouts.

    A reader has a ``name``, ``reads(path) -> bool``, a quick look whether a path has its layout, and ``read(path)``, which says
    where the recordings are and what is said in them; contents are read and checked the same for all. The built-in readers of
    folders, zip archives and text files are asked last.

    Example::

        from functools import partial
        from speech_mlflow.corpus.readers import Member, Reading
        from speech_mlflow.corpus.transcript import Transcript, TranscriptLine

        class LJSpeech:
            name = "ljspeech"

            def reads(self, path):
                return (path / "metadata.csv").is_file() and (path / "wavs").is_dir()

            def read(self, path):
                rows = [row.split("|") for row in (path / "metadata.csv").read_text().splitlines()]
                lines = [TranscriptLine(n, f"{row[0]}.wav", row[-1]) for n, row in enumerate(rows, 1)]
                files = [path / "wavs" / line.id for line in lines]
                audio = [Member(f.name, f"wavs/{f.name}", f.stat().st_size, partial(f.open, "rb")) for f in files]
                return Reading(tuple(audio), Transcript("metadata.csv", tuple(lines)))

        @speech_mlflow.hookimpl
        def register_corpus_readers(register):
            register(LJSpeech())
    """


@hookspec
def register_recognizers(register: Callable[[Engine], None]) -> None:
    """Add engines that recognise, and perhaps learn, behind the offline service, which asks for them when it starts.

    An engine has ``name``, ``version``, ``locales``, ``base_models()``, ``train(request, output, progress)`` and ``load(base_key,
    model_dir)``, as :class:`~speech_mlflow.emulator.engine.Engine` describes them; ``plugins/speech-mlflow-vosk`` is one.

    Example::

        @speech_mlflow.hookimpl
        def register_recognizers(register):
            register(MyEngine("/models/large"))
    """


@hookspec
def run_tags(kind: str) -> Mapping[str, str] | None:
    """Add tags to each run when it begins; ``kind`` is "train", "test" or "promotion".

    Each implementation is called on its own: one that raises is named in the log and stops neither the others nor the run.

    Example::

        @speech_mlflow.hookimpl
        def run_tags(kind):
            return {"team": "clinic"}
    """


@hookspec
def promotion_gate(candidate: Candidate) -> Decision | list[Decision] | None:
    """Say whether a version may be served; any *no* blocks it, with its reason. None says nothing.

    ``candidate`` holds the version, what is served now, the tests of both, and the target's settings. A gate is asked before
    anything is written to the service, and what it said is recorded. One that raises has said no.

    Example::

        from speech_mlflow.promotion import Decision

        @speech_mlflow.hookimpl
        def promotion_gate(candidate):
            return Decision("ticket", "ticket" in candidate.version.tags, "the tag 'ticket' names the change request")
    """


@hookspec
def promotion_event(event: PromotionEvent) -> None:
    """Hear of what happens to an endpoint: served, refused, rolled back, drift, ambiguous and the like.

    An event is told at least once; ``event.id`` tells a repetition. Each implementation is called on its own: one that raises
    is named in the log and stops neither the others nor the promotion.

    Example::

        @speech_mlflow.hookimpl
        def promotion_event(event):
            if event.kind == "refused":
                print(event.registered_model, event.version, event.reason)
    """


@hookspec
def register_commands(register: Callable[[click.Command], None]) -> None:
    """Add commands to the command line, listed by ``speech-mlflow --help`` under "Plugin commands".

    :func:`speech_mlflow.cli.app.command` gives a command ``--json``, ``--debug`` and the settings, as the built-in ones have. A
    name that is taken is not replaced: the command is left out, and ``speech-mlflow plugins`` says so.

    Example::

        import click
        from speech_mlflow.cli.app import command

        @click.command()
        @command
        def hello(app):
            "Say where the speech resource is."
            app.emit({"endpoint": app.settings.endpoint}, lambda: click.echo(app.settings.endpoint))

        @speech_mlflow.hookimpl
        def register_commands(register):
            register(hello)
    """
