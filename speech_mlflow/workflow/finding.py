"""Which finished tests a comparison is about: from runs, versions and aliases to test runs on the same data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run

from speech_mlflow.errors import ScoringError, TrackingError
from speech_mlflow.tracking import answers, registry, tables, tags
from speech_mlflow.tracking.dataset import content_part
from speech_mlflow.tracking.store import Store
from speech_mlflow.workflow.results import finished_test

_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Found:
    """What one reference names: a test run, and of its models only one where a version was named."""

    reference: str
    run: Run
    model_id: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class _Named:
    """A reference with all tests that could be meant, oldest first."""

    reference: str
    runs: Sequence[Run]
    model_id: str | None = None
    title: str | None = None


def find_tests(client: MlflowClient, references: Sequence[str], data: str | None = None) -> list[Found]:
    """The test runs to compare, all on the same data: of a version its newest test on them.

    ``references`` are ids of test runs, or versions as ``name/3``, ``name@alias``, ``name/Production``. ``data`` chooses a data
    set, by name, digest or fingerprint, where versions have been tested on several. Data sets of the same content count as the
    same, wherever they were uploaded. Raises TrackingError for what is not there, ScoringError where the test data differ.
    """
    named = [_named(client, reference) for reference in dict.fromkeys(references)]
    content = _common_content([_on(one, data) for one in named])
    return [Found(one.reference, _newest(one, content), one.model_id, one.title) for one in named]


def data_of_run(run: Run) -> tuple[str, str]:
    """Name and digest of the test data of a run."""
    for given in run.inputs.dataset_inputs if run.inputs else []:
        return str(given.dataset.name), str(given.dataset.digest)
    name, _, digest = run.data.params.get("data", "").rpartition(" (")
    return name, digest.rstrip(")")


def _named(client: MlflowClient, reference: str) -> _Named:
    if _RUN_ID.fullmatch(reference):
        return _Named(reference, [finished_test(Store(client, ""), reference)])
    version = registry.find_version(client, reference)
    title = f"{version.name} v{version.version}"
    model_id = version.tags.get(tags.MODEL_ID)
    if model_id is None:
        raise TrackingError(f"{title} is no model of the speech service: it has no tag {tags.MODEL_ID}")
    runs = [run for run in answers.tests_of_model(client, model_id) if tables.LOGGED_ARTIFACTS in run.data.tags]
    if not runs:
        raise TrackingError(
            f"{title} has no test with transcripts yet", hint="`speech-mlflow test DATA --model NAME/VERSION` tests it"
        )
    return _Named(reference, runs, model_id, title)


def _on(named: _Named, data: str | None) -> _Named:
    """The tests on the data set chosen."""
    if data is None:
        return named
    runs = [run for run in named.runs if data in {*data_of_run(run), _content(run), run.data.tags.get(tags.FINGERPRINT)}]
    if not runs:
        raise ScoringError(f"{named.reference} was not tested on {data}, but on {_listed(named)}")
    return _Named(named.reference, runs, named.model_id, named.title)


def _common_content(named: Sequence[_Named]) -> str:
    """The content that all were tested on. Raises ScoringError where there is none, or more than one."""
    known = [dict.fromkeys(_content(run) for run in one.runs) for one in named]
    common = [content for content in known[0] if all(content in other for other in known)]
    if len(common) == 1:
        return common[0]
    if not common:
        lines = [f"{one.reference}: {_listed(one)}" for one in named]
        raise ScoringError(
            "the test data differ, by digest:\n  " + "\n  ".join(lines),
            hint="test the models on the same data: `speech-mlflow test DATA --model … --model …`",
        )
    sets = {_content(run): "{} (digest {})".format(*data_of_run(run)) for one in named for run in one.runs}
    raise ScoringError(
        f"all were tested on several data sets: {', '.join(sets[content] for content in common)}",
        hint="choose one by name or digest, with --data (from Python: data=)",
    )


def _listed(named: _Named) -> str:
    """The data sets of the tests, newest last."""
    return ", ".join(dict.fromkeys("{} (digest {})".format(*data_of_run(run)) for run in named.runs))


def _newest(named: _Named, content: str) -> Run:
    return [run for run in named.runs if _content(run) == content][-1]


def _content(run: Run) -> str:
    return content_part(run.data.tags.get(tags.FINGERPRINT) or data_of_run(run)[1])
