"""``speech-mlflow run``: carry out what the project's file declares, and only what changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speech_mlflow.cli.app import App, command, fields, percent, table
from speech_mlflow.errors import DataError, GateError, SpeechMlflowError
from speech_mlflow.settings import FILE

if TYPE_CHECKING:
    from speech_mlflow.pipeline.project import Project
    from speech_mlflow.pipeline.records import Outcome, Outlook, PipelineResult

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
SIGNS = {
    "done": "=",
    "new": "+",
    "open": "~",
    "later": "?",
    "refused": "x",
    "failed": "!",
    "skipped": "-",
    "kept": "=",
}


@click.command()
@click.argument(
    "settings_file", metavar=f"[{FILE}]", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and why; write nothing.")
@click.option(
    "--until",
    type=click.Choice(["train", "test", "gates", "promote"]),
    default="promote",
    show_default=True,
    help="The last kind of step to do.",
)
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Write a Markdown summary to this file. It is appended to ${STEP_SUMMARY} where that is set.",
)
@click.option("--yes", is_flag=True, help="Do not ask before something that costs money.")
@command
@click.pass_context
def run(
    context: click.Context, app: App, settings_file: Path | None, dry_run: bool, until: Any, summary: Path | None, yes: bool
) -> None:
    """Do what the [pipeline] of speech-mlflow.toml declares: check data, train, test, ask the gates, promote.

    Only what changed is done: a second run with nothing changed does nothing. What fails is named, and stops only what depends on
    it. Exits with 3 where data are bad, with 4 where a gate says no. Stopped with Ctrl-C, the next call goes on.

    \b
    speech-mlflow run --dry-run
    speech-mlflow run
    speech-mlflow run --until gates --yes --summary summary.md      for a pull request
    """
    from speech_mlflow.pipeline.declared import anchored, read
    from speech_mlflow.pipeline.project import Project
    from speech_mlflow.promotion.options import user

    path = Path(FILE) if settings_file is None else settings_file
    pipeline = read(path)
    app.settings = anchored(app.settings, path.parent)
    app.reach_mlflow()
    who = os.environ.get("GITHUB_ACTOR") or user()
    with app.progress() as progress:
        project = Project(
            app.speech(), app.settings, pipeline, path.parent, who=who, progress=progress, on_outcome=_teller(app)
        )
        if dry_run:
            outlooks = project.plan(until)
            app.emit([one.to_dict() for one in outlooks], lambda: _show_plan(outlooks))
            context.exit(_code(outlooks))
        _ask(app, project, until, yes=yes)
        result = project.run(until)
    _write_summary(result, summary)
    app.emit(result.to_dict(), lambda: _show(result))
    context.exit(result.exit_code)


def _code(outlooks: list[Outlook]) -> int:
    """The exit code that a run would have, as far as that can be seen."""
    states = {(one.stage, one.state) for one in outlooks}
    if ("data", "failed") in states:
        return DataError.exit_code
    if any(state == "failed" for _, state in states):
        return SpeechMlflowError.exit_code
    return GateError.exit_code if ("gates", "refused") in states else 0


def _ask(app: App, project: Project, until: Any, *, yes: bool) -> None:
    """Ask once, before anything is begun, for all that costs money."""
    if yes or app.settings.endpoint is None:
        return
    work = [one for one in project.plan(until) if one.work and one.stage in {"train", "test", "promote"}]
    words = {"train": "Training", "test": "testing", "promote": "hosting an endpoint"}
    kinds = [words[stage] for stage in words if any(one.stage == stage for one in work)]
    if kinds:
        app.confirm_cost(" and ".join(kinds).capitalize(), yes=yes)


def _teller(app: App) -> Any:
    def tell(outcome: Outcome) -> None:
        if outcome.state == "failed":
            click.echo(f"! {outcome.stage:<8}{outcome.name}: {outcome.reason}", err=True)
            for problem in outcome.problems:
                if problem not in outcome.reason:
                    click.echo(f"    {problem}", err=True)
            if outcome.hint:
                click.echo(f"  → {outcome.hint}", err=True)
        elif outcome.stage != "data":
            sign = "+" if outcome.changed else SIGNS[outcome.state]
            took = f", {outcome.seconds:.0f} s" if outcome.changed else ""
            app.say(f"{sign:<2}{outcome.stage:<8}{outcome.name}: {outcome.reason}{took}")

    return tell


def _show_plan(outlooks: list[Outlook]) -> None:
    for one in outlooks:
        click.echo(f"{SIGNS[one.state]:<2}{one.stage:<8}{one.name}: {_words(one)}")
    work = sum(one.work for one in outlooks)
    failed = sum(one.state == "failed" for one in outlooks)
    said = f"{work} of {len(outlooks)} steps to do" if work else "nothing is to be done"
    click.echo(f"{said}, {failed} would fail" if failed else said)


def _words(outlook: Outlook) -> str:
    before = {"open": "goes on, ", "skipped": "cannot be done, "}
    return before.get(outlook.state, "") + outlook.why


def _show(result: PipelineResult) -> None:
    if result.measurements:
        table(
            ["model", "test set", "WER", "recomputed", "95 % interval", "against", "change", "interval", "beyond chance"],
            [row for one in result.measurements for row in _rows(one)],
            right=["WER", "recomputed", "change"],
        )
    for judged in result.judged:
        for one in judged.decisions:
            click.echo(
                f"gate {judged.registered_model} v{judged.version}: {'passed' if one.passed else 'NO'}: {one.gate}: {one.reason}"
            )
    click.echo(result.verdict)
    fields({"run": result.run_id})


def _rows(one: Any) -> list[tuple[object, ...]]:
    interval = f"{100 * one.interval.low:.1f} to {100 * one.interval.high:.1f} %"
    first: tuple[object, ...] = (one.label, one.test, percent(one.wer), percent(one.recomputed), interval)
    compared = [*one.against.items(), *([(f"{one.champion} (served)", one.against_champion)] if one.against_champion else [])]
    rows = [
        (
            *(first if number == 0 else ("",) * len(first)),
            name,
            f"{100 * found.difference:+.1f}",
            f"{100 * found.interval.low:+.1f} to {100 * found.interval.high:+.1f}",
            "yes" if found.significant else "no",
        )
        for number, (name, found) in enumerate(compared)
    ]
    return rows or [(*first, "", "", "", "")]


def _write_summary(result: PipelineResult, path: Path | None) -> None:
    from speech_mlflow.pipeline.summary import markdown

    step = os.environ.get(STEP_SUMMARY)
    if path is None and not step:
        return
    text = markdown(result)
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        if step:
            with Path(step).open("a", encoding="utf-8") as out:
                out.write(text)
    except OSError as error:
        raise SpeechMlflowError(f"the summary cannot be written: {error}") from error
