"""A newcomer's questions, each answered from MLflow alone.

Which data made this model? Which model is best on this set? What serves now? Who promoted it, and when? What changed between
two versions?
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import Run

from speech_mlflow.errors import TrackingError
from speech_mlflow.tracking import registry, tags, values
from speech_mlflow.tracking.dataset import content_part
from speech_mlflow.tracking.lineage import Node, lineage, moment
from speech_mlflow.tracking.store import all_experiments, search_all

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from speech_mlflow.corpus import Corpus

_DIGEST = re.compile(r"[0-9a-f]{23}(-[0-9a-f]{12}|[0-9a-f]{41})?")


@dataclass(frozen=True)
class Ranked:
    """A model's newest result on a data set. ``versions`` are the registered versions that stand for it."""

    value: float
    label: str
    model_id: str
    run_id: str
    tested_at: str
    versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Serving:
    """What one endpoint serves, as the last promotion published it."""

    registered_model: str
    endpoint_id: str
    version: str | None


@dataclass(frozen=True)
class Promotion:
    """One promotion of a registered model: when, by whom, why, and how it ended."""

    run_id: str
    registered_model: str
    version: str | None
    at: str
    who: str | None
    why: str | None
    result: str | None


@dataclass(frozen=True)
class Difference:
    """What changed from one version to another: data by name, and the parameters and word error rates that differ."""

    first: str
    second: str
    data_added: tuple[str, ...]
    data_removed: tuple[str, ...]
    changed: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    wer: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.first} to {self.second}"]
        lines += [f"  + data {name}" for name in self.data_added] + [f"  - data {name}" for name in self.data_removed]
        lines += [f"  {name}: {before or 'none'} to {after or 'none'}" for name, (before, after) in self.changed.items()]
        lines += [f"  WER on {name}: {before:.2%} to {after:.2%}" for name, (before, after) in self.wer.items()]
        return "\n".join(lines if len(lines) > 1 else [*lines, "  no difference"])


def data_of(client: MlflowClient, reference: str) -> list[Node]:
    """The data that a version's model was trained on."""
    chain = lineage(client, reference)
    return [node for train in chain.of_kind("train") for node in chain.before(train.id) if node.kind == "data"]


def best(
    client: MlflowClient,
    data: Corpus | str,
    *,
    metric: str = "wer",
    limit: int = 10,
    greater_is_better: bool | None = None,
) -> list[Ranked]:
    """The models tested on a data set, best first; ``data`` is a corpus, or the data set's name, digest or fingerprint.

    The lowest value is the best one, except for an evaluator's metric that says otherwise; ``greater_is_better`` says it here.

    The same content counts as the same data set, wherever it was uploaded. Works on servers without logged models, too.
    (MLflow's own way is ``search_logged_models`` with the data set's name *and* digest: over HTTP a name alone finds nothing.)
    """
    newest: dict[str, Ranked] = {}
    rising = greater_is_better
    for run in _tests(client, data):
        for label, model_id in models_of(run):
            value = run.data.metrics.get(values.name(f"{metric}/{label}"))
            if value is not None:
                if greater_is_better is None:
                    rising = metric in json.loads(run.data.tags.get(tags.GREATER_IS_BETTER, "[]"))
                at = moment(run.info.start_time)
                newest[model_id] = Ranked(value, label, model_id, str(run.info.run_id), at)
    sign = -1 if rising else 1
    ranked = sorted(newest.values(), key=lambda one: (sign * one.value, one.label))[:limit]
    return [_with_versions(client, one) for one in ranked]


def serving(client: MlflowClient, name: str) -> list[Serving]:
    """What serves a registered model now, by its own record: one line per endpoint."""
    known = client.get_registered_model(name).tags
    return [
        Serving(name, value, known.get(tags.SERVED_VERSION + key.removeprefix(tags.ENDPOINT_ID)))
        for key, value in sorted(known.items())
        if key.startswith(tags.ENDPOINT_ID)
    ]


def promotions(client: MlflowClient, name: str) -> list[Promotion]:
    """All promotions of a registered model, newest first."""
    wanted = f"tags.`{tags.KIND}` = '{tags.KIND_PROMOTION}' and tags.`{tags.REGISTERED_MODEL}` = {_quoted(name)}"
    return [
        Promotion(
            str(run.info.run_id),
            name,
            run.data.tags.get(tags.MODEL_VERSION),
            moment(run.info.start_time),
            run.data.params.get("who"),
            run.data.params.get("why"),
            run.data.tags.get(tags.RESULT),
        )
        for run in reversed(_runs(client, wanted))
    ]


def difference(client: MlflowClient, first: str, second: str) -> Difference:
    """What changed between two versions: training data by content, options, base model, and WER on the tests both have."""
    versions = [registry.find_version(client, reference) for reference in (first, second)]
    trained = [client.get_run(_train_run(version)) for version in versions]
    before, after = (_training_data(run) for run in trained)
    facts = [{**run.data.params, "base model id": run.data.tags.get(tags.BASE_MODEL_ID)} for run in trained]
    names = [name for name in dict.fromkeys([*facts[0], *facts[1]]) if name not in {"data", "name"}]
    wers = [_word_error_rates(client, version.tags[tags.MODEL_ID]) for version in versions]
    return Difference(
        first=f"{versions[0].name}/{versions[0].version}",
        second=f"{versions[1].name}/{versions[1].version}",
        data_added=tuple(after[content] for content in after if content not in before),
        data_removed=tuple(before[content] for content in before if content not in after),
        changed={name: (facts[0].get(name), facts[1].get(name)) for name in names if facts[0].get(name) != facts[1].get(name)},
        wer={title: (wer, wers[1][content][1]) for content, (title, wer) in wers[0].items() if content in wers[1]},
    )


def tests_of_model(client: MlflowClient, model_id: str) -> list[Run]:
    """The finished tests of a model of the service, oldest first."""
    wanted = f"tags.`{tags.KIND}` = '{tags.KIND_TEST}' and attributes.status = 'FINISHED'"
    return _runs(client, f"{wanted} and tags.`{tags.MODEL_ID}` LIKE {_quoted(f'%{model_id}%')}")


def _tests(client: MlflowClient, data: Corpus | str) -> list[Run]:
    """The finished tests on a data set, oldest first."""
    wanted = f"tags.`{tags.KIND}` = '{tags.KIND_TEST}' and attributes.status = 'FINISHED'"
    if not isinstance(data, str):
        wanted += f" and tags.`{tags.FINGERPRINT}` = '{data.fingerprint}'"
    elif _DIGEST.fullmatch(data):
        wanted += f" and tags.`{tags.FINGERPRINT}` LIKE '{content_part(data)}%'"
    else:
        wanted += f" and dataset.name = {_quoted(data)}"
    return _runs(client, wanted)


def models_of(run: Run) -> list[tuple[str, str]]:
    """Labels and ids of the models that a run tested."""
    try:
        labels = [str(label) for label in json.loads(run.data.params.get("models", "[]"))]
    except ValueError:
        return []
    return list(zip(labels, run.data.tags.get(tags.MODEL_ID, "").split(","), strict=False))


def _with_versions(client: MlflowClient, ranked: Ranked) -> Ranked:
    found = registry.versions_of_model(client, None, ranked.model_id)
    given: dict[str, Any] = {**ranked.__dict__, "versions": tuple(f"{one.name}/{one.version}" for one in found)}
    return Ranked(**given)


def _training_data(run: Run) -> dict[str, str]:
    """Names of the data sets of a train run, by content."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return {content_part(given.dataset.digest): str(given.dataset.name) for given in inputs}


def _word_error_rates(client: MlflowClient, model_id: str) -> dict[str, tuple[str, float]]:
    """A model's newest WER on each content it was tested on, with the name of the data."""
    found = {}
    for run in tests_of_model(client, model_id):
        label = next((label for label, id_ in models_of(run) if id_ == model_id), None)
        wer = run.data.metrics.get(values.name(f"wer/{label}"))
        content = run.data.tags.get(tags.FINGERPRINT)
        if wer is not None and content is not None:
            found[content] = (run.data.params.get("data", "").partition(" (")[0], wer)
    return found


def _train_run(version: ModelVersion) -> str:
    run_id = version.tags.get(tags.TRAIN_RUN_ID) or version.run_id
    if not run_id or tags.MODEL_ID not in version.tags:
        raise TrackingError(f"{version.name} {version.version} was not trained by speech_mlflow: it names no train run")
    return str(run_id)


def _runs(client: MlflowClient, wanted: str) -> list[Run]:
    return search_all(client, all_experiments(client), wanted)


def _quoted(value: str) -> str:
    if "'" in value:
        raise TrackingError(f"a name with a quotation mark cannot be looked up in MLflow: {value!r}")
    return f"'{value}'"
