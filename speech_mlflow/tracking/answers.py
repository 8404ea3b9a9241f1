"""Which model is best on a test set, and what changed between two versions: answered from MLflow alone."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Run

from speech_mlflow.errors import TrackingError
from speech_mlflow.tracking import registry, runs, tags, values
from speech_mlflow.tracking.dataset import content_part
from speech_mlflow.tracking.lineage import moment
from speech_mlflow.tracking.store import all_experiments, quoted, search_all

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from speech_mlflow.corpus import Corpus

log = logging.getLogger(__name__)

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

    The same content counts as the same data set, wherever it was uploaded; of several under one name the one tested last is
    meant. Works on servers without logged models, too.
    (MLflow's own way is ``search_logged_models`` with the data set's name *and* digest: over HTTP a name alone finds nothing.)
    """
    newest: dict[str, Ranked] = {}
    rising = greater_is_better
    for run in _tests(client, data):
        for label, model_id in runs.models_of(run):
            value = run.data.metrics.get(values.name(f"{metric}/{label}"))
            if value is not None:
                if greater_is_better is None:
                    rising = metric in json.loads(run.data.tags.get(tags.GREATER_IS_BETTER, "[]"))
                at = moment(run.info.start_time)
                newest[model_id] = Ranked(value, label, model_id, str(run.info.run_id), at)
    sign = -1 if rising else 1
    ranked = sorted(newest.values(), key=lambda one: (sign * one.value, one.label))[:limit]
    return [_with_versions(client, one) for one in ranked]


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
    return _runs(client, f"{wanted} and tags.`{tags.MODEL_ID}` LIKE {quoted(f'%{model_id}%')}")


def _tests(client: MlflowClient, data: Corpus | str) -> list[Run]:
    """The finished tests on a data set, oldest first."""
    wanted = f"tags.`{tags.KIND}` = '{tags.KIND_TEST}' and attributes.status = 'FINISHED'"
    if not isinstance(data, str):
        wanted += f" and tags.`{tags.FINGERPRINT}` = '{data.fingerprint}'"
    elif _DIGEST.fullmatch(data):
        wanted += f" and tags.`{tags.FINGERPRINT}` LIKE '{content_part(data)}%'"
    else:
        return _of_one_content(_runs(client, f"{wanted} and dataset.name = {quoted(data)}"), data)
    return _runs(client, wanted)


def _of_one_content(found: list[Run], name: str) -> list[Run]:
    """Of the tests on data of one name those on what it is now: rates on different recordings make no ranking."""
    contents = [run.data.tags.get(tags.FINGERPRINT) for run in found]
    now = [run for run, content in zip(found, contents, strict=True) if content == contents[-1]]
    if len(now) < len(found):
        log.warning(
            "%s was other data before: %d of %d tests are left out; to rank by those name the data by digest or fingerprint",
            name,
            len(found) - len(now),
            len(found),
        )
    return now


def _with_versions(client: MlflowClient, ranked: Ranked) -> Ranked:
    found = registry.versions_of_model(client, None, ranked.model_id)
    return replace(ranked, versions=tuple(f"{one.name}/{one.version}" for one in found))


def _training_data(run: Run) -> dict[str, str]:
    """Names of the data sets of a train run, by content."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return {content_part(given.dataset.digest): str(given.dataset.name) for given in inputs}


def _word_error_rates(client: MlflowClient, model_id: str) -> dict[str, tuple[str, float]]:
    """A model's newest WER on each content it was tested on, with the name of the data."""
    found = {}
    for run in tests_of_model(client, model_id):
        label = next((label for label, id_ in runs.models_of(run) if id_ == model_id), None)
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
