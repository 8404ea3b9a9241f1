"""``speech-mlflow demo``: the whole story on the example corpus, offline."""

from __future__ import annotations

import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speech_mlflow.cli.app import App, fields, percent, table
from speech_mlflow.cli.main import of_run
from speech_mlflow.errors import PromotionError, SettingsError, SpeechMlflowError
from speech_mlflow.progress import Progress, silent
from speech_mlflow.settings import FILE, Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.corpus import Corpus
    from speech_mlflow.promotion.events import PromotionEvent
    from speech_mlflow.service import SpeechClient
    from speech_mlflow.workflow import TestResult, TrainResult

MODEL = "clinic-en-us"
DEPLOY_SECONDS = 300
STEPS = 7
LOCK = "demo.lock"
"""Of two demos in a directory, each would move the stage away that the other one waits for."""
HEAD = "# Settings of the demo: in this directory, every speech-mlflow command works on what the demo made."
SETTINGS = {"tracking_uri": "sqlite:///mlflow.db", "experiment": "clinic", "project": "clinic", "state_dir": "speech"}


@dataclass
class Story:
    """What the demo has done so far: the connections, and how long each step took in seconds."""

    app: App
    directory: Path
    speech: SpeechClient
    client: MlflowClient
    progress: Progress = silent
    seconds: dict[str, float] = field(default_factory=dict)
    number: int = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Head a step of the story and time it."""
        self.number += 1
        self.app.say(f"\n{self.number}/{STEPS} {title}")
        begun = time.monotonic()
        with self.app.progress() as self.progress:
            yield
        self.seconds[title] = time.monotonic() - begun


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("speech-mlflow-demo"),
    show_default=True,
    help="Where the demo keeps everything.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@of_run
def demo(directory: Path, as_json: bool) -> None:
    """Show the whole story on example data, with no account: upload, train, test, promote, deploy, roll back.

    Run it again in the same directory and it finds its own work: nothing is made twice.

    \b
    speech-mlflow demo
    speech-mlflow demo --dir /tmp/demo --json
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    from speech_mlflow.emulator.address import StateLock

    app, lock = App(_absolute(_settings(directory), directory), as_json), StateLock(directory, LOCK)
    if not lock.take():
        raise SpeechMlflowError(
            f"another demo is at work in {directory}", hint="wait for it, or name another directory with --dir"
        )
    try:
        document = _tell(app, directory)
    finally:
        app.close()
        lock.release()
    app.emit(document, lambda: _summary(document))


def _settings(directory: Path) -> Settings:
    """The demo's own settings, which are written to its directory unless they were. SettingsError where that is a project."""
    file = directory / FILE
    if not file.exists():
        file.write_text("\n".join([HEAD, *(f'{name} = "{value}"' for name, value in SETTINGS.items()), ""]), "utf-8")
    elif not file.read_text("utf-8", "replace").startswith(HEAD):
        raise SettingsError(f"{file} is of a project; nothing was written", hint="name another directory with --dir")
    return Settings.model_validate(SETTINGS)


def _absolute(settings: Settings, directory: Path) -> Settings:
    """The settings of the demo's directory, for a process that runs elsewhere."""
    return settings.model_copy(
        update={
            "tracking_uri": f"sqlite:///{directory / 'mlflow.db'}",
            "artifact_location": str(directory / "mlartifacts"),
            "state_dir": directory / settings.state_dir,
        }
    )


def example_corpus() -> Path:
    """The directory of the example corpus: in the installed package, else in the source tree."""
    import speech_mlflow

    package = Path(speech_mlflow.__file__).parent
    for candidate in (package / "examples" / "clinic", package.parent / "examples" / "clinic"):
        if candidate.is_dir():
            return candidate
    raise SpeechMlflowError("the example corpus is not installed", hint="install the package again: it is part of the wheel")


def _tell(app: App, directory: Path) -> dict[str, Any]:
    begun = time.monotonic()
    app.say(f"Everything of this demo is in {directory}")
    app.say(f"\n1/{STEPS} Start the offline speech service and open MLflow")
    speech, client = app.speech(), app.mlflow()
    story = Story(app, directory, speech, client, seconds={"Start": time.monotonic() - begun}, number=1)
    app.say(f"    {speech.endpoint} ({speech.resource}), {app.settings.tracking_uri}")

    with story.step("Check the example corpus and upload it"):
        training, more, testing = _corpora(story)
    with story.step("Train a custom model"):
        first = _train(story, training)
    with story.step("Test the base model and the custom model"):
        first_test = _test(story, testing, first)
    with _controller(story) as wait_until_served:
        with story.step("Move version 1 to Production: the controller deploys it"):
            endpoint_id = _promote(story, first, wait_until_served)
        with story.step("Send a recording to the endpoint"):
            heard = _recognize(story, testing, endpoint_id)
        with story.step("Train a better model with more data, promote it, then roll back"):
            second = _train(story, more)
            second_test = _test(story, testing, second)
            served = [_promote(story, second, wait_until_served)]
            app.say("    … and back: version 1 to Production again")
            served.append(_promote(story, first, wait_until_served))
    if set(served) != {endpoint_id}:
        raise PromotionError(f"the endpoint changed its id from {endpoint_id} to {served}")

    base = first_test.scores["base"].wer
    return {
        "directory": str(directory),
        "endpoint": {"id": endpoint_id, "name": story.speech.endpoints.get(endpoint_id).display_name},
        "heard": heard,
        "models": [
            {"model": "base", "data": "", "wer": base},
            _line("version 1", training, first, first_test),
            _line("version 2", more, second, second_test),
        ],
        "seconds": {title: round(seconds, 1) for title, seconds in story.seconds.items()},
        "total_seconds": round(time.monotonic() - begun, 1),
        "mlflow_ui": f"{_program('mlflow')} ui --backend-store-uri {shlex.quote(app.settings.tracking_uri)}",
    }


def _corpora(story: Story) -> tuple[list[Corpus], list[Corpus], Corpus]:
    """The training data of both models and the test data, checked; the service has them after this."""
    from speech_mlflow.corpus import read_corpus
    from speech_mlflow.workflow import upload

    root = example_corpus()

    def parts(folder: str) -> list[Corpus]:
        names = ["audio-and-transcripts", "related-text.txt", "pronunciations.txt"]
        return [read_corpus(root / folder / name, locale="en-US", name=f"{folder}-{Path(name).stem}") for name in names]

    training, more = parts("training"), parts("training-more")
    testing = read_corpus(root / "testing", locale="en-US", name="testing")
    everything = [*training, *more, testing]
    for corpus in everything:
        corpus.check()
    project = story.app.project(story.speech)
    for corpus in everything:
        dataset = upload(story.speech, corpus, project=project, progress=story.progress)
        properties = dataset.properties
        accepted = f"{properties.accepted_line_count} lines accepted" if properties else ""
        story.app.say(f"    {corpus.name}: {corpus.kind}, {accepted}")
    return training, [*training, *more], testing


def _train(story: Story, data: list[Corpus]) -> TrainResult:
    from speech_mlflow.workflow import train

    result = train(
        story.speech,
        name=MODEL,
        data=data,
        registered_model=MODEL,
        project=story.app.project(story.speech),
        progress=story.progress,
        **story.app.mlflow_options(),
    )
    story.app.say(
        f"    {'found' if result.reused else 'trained'}: {MODEL} version {result.version}, MLflow run {result.run_id}"
    )
    return result


def _test(story: Story, testing: Corpus, trained: TrainResult) -> TestResult:
    from speech_mlflow.workflow import test

    result = test(
        story.speech,
        data=testing,
        models=["base", f"{MODEL}/{trained.version}"],
        project=story.app.project(story.speech),
        progress=story.progress,
        **story.app.mlflow_options(),
    )
    wers = ", ".join(f"{label} {percent(score.wer)}" for label, score in result.scores.items())
    story.app.say(f"    {'found' if result.reused else 'tested'}: WER {wers}, MLflow run {result.run_id}")
    return result


def _promote(story: Story, trained: TrainResult, wait_until_served: Callable[[str], str]) -> str:
    """Move a version to Production as any MLflow user would; the endpoint's id once it serves that version."""
    from speech_mlflow.tracking.registry import stages_are_deprecated

    assert trained.version is not None
    with stages_are_deprecated():  # MLflow warns at every such call
        story.client.transition_model_version_stage(MODEL, trained.version, "Production", archive_existing_versions=True)
    endpoint_id = wait_until_served(trained.version)
    story.app.say(f"    endpoint {endpoint_id} serves version {trained.version}")
    return endpoint_id


def _recognize(story: Story, testing: Corpus, endpoint_id: str) -> dict[str, str]:
    utterance = max(testing.utterances, key=lambda utterance: len(utterance.text))
    result = story.speech.recognize(endpoint_id, testing.audio(utterance.id), language="en-US")
    story.app.say(f"    said:  {utterance.text}\n    heard: {result.display}")
    return {"recording": utterance.id, "said": utterance.text, "heard": result.display or ""}


@contextmanager
def _controller(story: Story) -> Iterator[Callable[[str], str]]:
    """Run what ``speech-mlflow watch`` runs, until the block ends; gives a function that waits for a version to be served."""
    from speech_mlflow.promotion.controller import watch
    from speech_mlflow.promotion.usecases import plan_for

    stopping = threading.Event()
    failure: list[BaseException] = []

    def hear(event: PromotionEvent) -> None:
        if event.kind != "idle":
            story.app.say(f"    controller: {event.kind}, {event.reason}")

    def run() -> None:
        try:
            watch(story.speech, story.client, only=frozenset({MODEL}), poll_seconds=0.5, stop=stopping, on_event=hear)
        except BaseException as error:  # handed to the waiting thread
            failure.append(error)

    def wait_until_served(version: str) -> str:
        begun = time.monotonic()
        while time.monotonic() - begun < DEPLOY_SECONDS:
            if failure:
                raise failure[0]
            plan = plan_for(story.speech, story.client, MODEL, ask_gates=False)
            if plan.blocked:
                raise PromotionError(f"version {version} is not served: {plan.blocked}")
            if plan.desired.version == version and not plan.changes and plan.observed.endpoint is not None:
                return plan.observed.endpoint.id
            time.sleep(0.2)
        raise PromotionError(f"version {version} is not served after {DEPLOY_SECONDS} s")

    thread = threading.Thread(target=run, name="controller", daemon=True)
    thread.start()
    try:
        yield wait_until_served
    finally:
        stopping.set()
        thread.join(timeout=30)


def _program(name: str) -> str:
    """How to call a program of this environment: by its name where the PATH leads to it, else by its path."""
    ours = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    return name if not ours.exists() or (found and Path(found).samefile(ours)) else shlex.quote(str(ours))


def _line(label: str, data: list[Corpus], trained: TrainResult, tested: TestResult) -> dict[str, Any]:
    minutes = sum(utterance.seconds for corpus in data for utterance in corpus.utterances) / 60
    sentences = sum(len(corpus.lines) for corpus in data if corpus.kind == "Language")
    words = sum(len(corpus.lines) for corpus in data if corpus.kind == "Pronunciation")
    wer = next(score.wer for name, score in tested.scores.items() if name != "base")
    return {
        "model": label,
        "data": f"{minutes:.1f} min of speech, {sentences} sentences, {words} pronunciations",
        "wer": wer,
        "run_id": trained.run_id,
        "model_id": trained.model.id,
    }


def _summary(document: dict[str, Any]) -> None:
    click.echo()
    table(
        ["model", "trained on", "WER"],
        [(line["model"], line["data"], percent(line["wer"])) for line in document["models"]],
        right=["WER"],
    )
    fields(
        {
            "endpoint": f"{document['endpoint']['id']} ({document['endpoint']['name']})",
            "serves": "version 1, after the rollback",
        }
    )
    for title, seconds in [*document["seconds"].items(), ("in all", document["total_seconds"])]:
        click.echo(f"{seconds:6.1f} s  {title}")
    click.echo(f"\nSee it in MLflow:\n  {document['mlflow_ui']}")
    click.echo(f"Go on with it:\n  cd {shlex.quote(document['directory'])} && {_program('speech-mlflow')} models list")
