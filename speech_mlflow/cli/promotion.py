"""``promote``, ``rollback``, ``plan``, ``apply``, ``watch`` and ``history``: from the registry to the endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from speech_mlflow.cli.app import App, command, fields, table
from speech_mlflow.errors import GateError, OperationFailedError, PromotionError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.progress import Progress
    from speech_mlflow.promotion.apply import Applied
    from speech_mlflow.promotion.controller import Controller
    from speech_mlflow.promotion.events import PromotionEvent
    from speech_mlflow.promotion.options import Options
    from speech_mlflow.promotion.plan import Plan
    from speech_mlflow.promotion.regions import Elsewhere, Regions
    from speech_mlflow.promotion.target import Target
    from speech_mlflow.service import SpeechClient

CHANGES_PENDING = 5
COSTS = "Hosting an endpoint"
NOTHING = "no speech models are registered: `speech-mlflow train` makes one"
yes_option = click.option("--yes", is_flag=True, help="Do not ask before something that costs money.")
because = click.option("--because", metavar="TEXT", default="", help="Why; recorded in the promotion's run.")


@click.command()
@click.argument("version", metavar="MODEL/VERSION")
@click.option("--override", metavar="REASON", help="Serve it against what the gates say; the reason is recorded.")
@because
@yes_option
@command
def promote(app: App, version: str, override: str | None, because: str, yes: bool) -> None:
    """Ask the gates, move a version to Production (archiving the others) and deploy it.

    Exits with 4 where a gate says no; nothing has changed then.

    \b
    speech-mlflow promote clinic-en-us/2
    speech-mlflow promote clinic-en-us/2 --override "new microphones, tested by hand"
    """
    from speech_mlflow.promotion import usecases

    name, number = _name_and_version(version)
    app.confirm_cost(COSTS, yes=yes)
    speech = app.speech()
    with app.progress() as progress:
        applied = usecases.promote(
            speech,
            app.mlflow(),
            name,
            number,
            _target(app, name),
            override=override,
            options=_options(progress, because),
        )
        elsewhere = _regions(app, speech).apply(app.mlflow(), applied, _options(progress, because))
    _report(app, [applied], elsewhere)


@click.command()
@click.argument("model")
@because
@yes_option
@command
def rollback(app: App, model: str, because: str, yes: bool) -> None:
    """Serve again the version that was served before the present one.

    \b
    speech-mlflow rollback clinic-en-us --because "misses dosages"
    """
    from speech_mlflow.promotion import usecases

    app.confirm_cost(COSTS, yes=yes)
    speech = app.speech()
    with app.progress() as progress:
        options = _options(progress, because)
        applied = usecases.rollback(speech, app.mlflow(), model, _target(app, model), options=options)
        elsewhere = _regions(app, speech).apply(app.mlflow(), applied, options)
    _report(app, [applied], elsewhere)


@click.command()
@click.argument("models", nargs=-1)
@click.option("--exit-code", is_flag=True, help="Exit with 5 where something would change.")
@command
@click.pass_context
def plan(context: click.Context, app: App, models: tuple[str, ...], exit_code: bool) -> None:
    """Show what the registry asks for, what the service serves, and each step from one to the other.

    \b
    speech-mlflow plan
    speech-mlflow plan clinic-en-us --json > plan.json
    """
    plans = _plans(app, models)
    regions = _regions(app, app.speech())
    elsewhere = [regions.plans(app.mlflow(), one.name, one.target) for one in plans]
    documents = [
        {**one.to_dict(), **({"regions": [part.to_dict() for part in parts]} if parts else {})}
        for one, parts in zip(plans, elsewhere, strict=True)
    ]
    everything = [each for one, parts in zip(plans, elsewhere, strict=True) for each in (one, *parts)]
    app.emit(
        documents[0] if len(models) == 1 else documents,
        lambda: click.echo("\n\n".join(one.render() for one in everything) or NOTHING),
    )
    if exit_code and any(one.changes for one in everything):
        context.exit(CHANGES_PENDING)


@click.command()
@click.argument("models", nargs=-1)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Carry out this plan and no other; refused where the world has changed since it was made.",
)
@because
@yes_option
@command
def apply(app: App, models: tuple[str, ...], plan_file: Path | None, because: str, yes: bool) -> None:
    """Make the endpoints serve what the registry says; without names, for every speech model.

    \b
    speech-mlflow apply clinic-en-us
    speech-mlflow apply --plan plan.json
    """
    from speech_mlflow.promotion import usecases

    if plan_file is not None and models:
        raise click.UsageError("a plan says which model it is for: give no names beside --plan")
    speech, client = app.speech(), app.mlflow()
    plans: list[Plan | dict[str, object]] = [_read_plan(plan_file)] if plan_file else [*_plans(app, models, gates=False)]
    if any(one["changes"] if isinstance(one, dict) else one.changes for one in plans):
        app.confirm_cost(COSTS, yes=yes)
    applied, elsewhere, failed, regions = [], [], [], _regions(app, speech)
    with app.progress() as progress:
        for one in plans:
            name = str(one["registered_model"]) if isinstance(one, dict) else one.name
            options = _options(progress, because or "apply")
            try:
                applied.append(usecases.apply_plan(speech, client, one, _target(app, name), options=options))
            except (PromotionError, OperationFailedError) as error:  # of one model: it stops no other
                if len(plans) == 1:
                    raise
                failed.append(f"{name}: {error}")
            else:
                elsewhere += regions.apply(client, applied[-1], options)
    _report(app, applied, elsewhere, failed)


@click.command()
@click.argument("models", nargs=-1)
@click.option("--until-idle", is_flag=True, help="End when everything is as it should be.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Be woken by webhooks at /mlflow and /speech, and answer /healthz, /readyz and /metrics; needs receiver_secret.",
)
@yes_option
@command
def watch(app: App, models: tuple[str, ...], until_idle: bool, listen: str | None, yes: bool) -> None:
    """Keep the endpoints as the registry says: the controller. Runs until Ctrl-C or SIGTERM.

    \b
    speech-mlflow watch
    speech-mlflow watch clinic-en-us --json      one JSON document a line
    speech-mlflow watch --listen 127.0.0.1:8765  woken at once, with health and metrics
    """
    import threading
    from contextlib import ExitStack

    from speech_mlflow.promotion.controller import watch as run

    app.confirm_cost(COSTS, yes=yes)
    stop = threading.Event()

    def show(event: PromotionEvent) -> None:
        if event.kind != "idle" or until_idle:
            subject = f"{event.registered_model} " if event.registered_model else ""
            click.echo(f"{time.strftime('%H:%M:%S')} {subject}{event.kind}: {event.reason}")

    def hear(event: PromotionEvent) -> None:
        app.emit_line(event.to_dict(), lambda: show(event))
        if until_idle and event.kind == "idle":
            stop.set()

    speech, client = app.speech(), app.mlflow(patient=True)
    if not app.json and not until_idle:
        click.echo(f"watching the registry, every {app.settings.poll_seconds:g} s; Ctrl-C ends it", err=True)
    with app.progress() as progress, ExitStack() as stack:
        run(
            speech,
            client,
            lambda name: _target(app, name),
            only=frozenset(models) or None,
            poll_seconds=app.settings.poll_seconds,
            on_event=hear,
            on_start=lambda controller: stack.enter_context(_receiver(app, controller, listen)) if listen else None,
            stop=stop,
            options=replace(_options(progress, "the registry changed"), expiry_days=app.settings.expiry_days),
            regions=_regions(app, speech),
        )


@click.command()
@click.argument("model")
@command
def history(app: App, model: str) -> None:
    """List the promotions of a model: what, when, by whom, why, and how each ended; newest first.

    \b
    speech-mlflow history clinic-en-us
    """
    from speech_mlflow.promotion import usecases

    past = usecases.history(app.mlflow(), model)
    rows = [
        (
            f"{one.started:%Y-%m-%d %H:%M:%S}",
            one.version,
            one.previous_version,
            one.result,
            one.who,
            one.why,
            f"{one.seconds:.1f}" if one.seconds is not None else "",
            one.run_id,
        )
        for one in past
    ]
    columns = ["when", "version", "before", "result", "who", "why", "seconds", "run"]
    app.emit(
        [one.to_dict() for one in past],
        lambda: (
            table(columns, rows, right=["version", "before", "seconds"])
            if rows
            else click.echo(f"no promotions of {model}: `speech-mlflow promote {model}/VERSION` makes one")
        ),
    )


@contextmanager
def _receiver(app: App, controller: Controller, listen: str) -> Iterator[None]:
    """The controller's ears, while it runs."""
    from speech_mlflow.promotion.listening import listening
    from speech_mlflow.promotion.receiver import Receiver

    given = (app.settings.receiver_secret, app.settings.receiver_old_secret)
    receiver = Receiver(controller, [secret for secret in given if secret is not None])
    with listening(receiver.app(), listen) as url:
        click.echo(f"listening at {url}", err=True)
        yield


def _target(app: App, name: str) -> Target:
    from speech_mlflow.promotion.usecases import target_of

    return target_of(app.settings, name)


def _options(progress: Progress, why: str) -> Options:
    from speech_mlflow.promotion.options import Options, user

    return Options(who=user(), why=why, progress=progress)


def _regions(app: App, speech: SpeechClient) -> Regions:
    """The other resources of the settings; connections are closed when the command ends."""
    from speech_mlflow.promotion.regions import Regions, unknown_regions

    unknown_regions(app.settings)
    return click.get_current_context().with_resource(Regions(app.settings, speech))


def _plans(app: App, models: tuple[str, ...], *, gates: bool = True) -> list[Plan]:
    from speech_mlflow.promotion import usecases

    speech, client = app.speech(), app.mlflow()
    names = models or tuple(_speech_models(client))
    return [usecases.plan_for(speech, client, name, _target(app, name), ask_gates=gates) for name in names]


def _speech_models(client: MlflowClient) -> list[str]:
    from speech_mlflow.promotion.registry import poll

    return sorted(name for name, mark in poll(client).items() if mark.ours)


def _read_plan(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise PromotionError(f"{path} is no plan: {error}", hint="write one with `plan MODEL --json`") from error
    if not isinstance(document, dict) or not {"id", "registered_model", "changes"} <= set(document):
        raise PromotionError(f"{path} is not the plan of one model", hint="write one with `plan MODEL --json`")
    return document


def _name_and_version(text: str) -> tuple[str, str]:
    name, _, number = text.rpartition("/")
    if not name or not number.isdigit():
        raise click.BadParameter(f"{text!r} is not MODEL/VERSION, for example clinic-en-us/2")
    return name, number


def _report(app: App, applied: list[Applied], elsewhere: list[Elsewhere], failed: Sequence[str] = ()) -> None:
    def human() -> None:
        if not applied and not failed:
            click.echo(NOTHING)
        for one in applied:
            click.echo(f"{one.plan.name}: {one.result}, {one.reason}")
            fields({"  endpoint": one.endpoint_id, "  run": one.run_id})
        for part in elsewhere:
            click.echo(f"{part.region}: {part.result}, {part.reason}")
            if part.applied is not None:
                fields({"  endpoint": part.applied.endpoint_id, "  run": part.applied.run_id})

    app.emit([*(one.to_dict() for one in applied), *(part.to_dict() for part in elsewhere)], human)
    said: list[tuple[str, str, str]] = [
        (one.plan.name, one.result, one.reason) for one in applied if one.result not in {"served", "unchanged"}
    ]
    said += [(part.region, part.result, part.reason) for part in elsewhere if not part.well]
    if said or failed:
        results = {result for _, result, _ in said}
        of_gates = not failed and "refused" in results <= {"refused", "waiting"}
        wrong = [*failed, *(f"{name}: {result}, {reason}" for name, result, reason in said)]
        raise (GateError if of_gates else PromotionError)("; ".join(wrong))
