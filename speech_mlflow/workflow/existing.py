"""What a speech resource holds already, made in Speech Studio or by scripts, and what of it MLflow knows.

Everything here only reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from speech_mlflow.errors import NotFoundError, SettingsError
from speech_mlflow.service import SpeechClient, filters
from speech_mlflow.service.entities import CustomModel, Dataset, Entity, EntityReference, Evaluation, Project, by_age
from speech_mlflow.tracking import runs, tags
from speech_mlflow.tracking.store import Store, all_experiments, search_all

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class Scope:
    """What is to be brought into MLflow: models and evaluations, oldest first; ``unused`` data sets belong to none of them."""

    models: tuple[CustomModel, ...]
    evaluations: tuple[Evaluation, ...]
    unused: tuple[Dataset, ...] = ()


@dataclass(frozen=True)
class Known:
    """Ids of the service's models and evaluations that have a run in MLflow, with the id of that run."""

    models: dict[str, str]
    evaluations: dict[str, str]


def scope(speech: SpeechClient, *, models: Sequence[str] = (), project: str | None = None) -> Scope:
    """The models and evaluations of the resource, of one project (its id or name), or those of the models with these ids.

    Raises SettingsError for a project or a model that is not there.
    """
    home = find_project(speech, project) if project is not None else None
    chosen = list(speech.projects.models(home) if home else speech.models.list())
    tests = list(speech.projects.evaluations(home) if home else speech.evaluations.list())
    if models:
        missing = sorted(set(models) - {model.id for model in chosen})
        if missing:
            where = f"the project {project!r}" if home else f"the resource {speech.resource}"
            raise SettingsError(
                f"no custom model of {where} has the id {', '.join(missing)}", hint="--dry-run lists what there is"
            )
        chosen = [model for model in chosen if model.id in set(models)]
        tests = [test for test in tests if {model.id for model in tested(test)} & set(models)]
    unused: list[Dataset] = []
    if not models:
        used = {of.id for model in chosen for of in model.datasets or ()} | {test.dataset.id for test in tests if test.dataset}
        there = speech.projects.datasets(home) if home else speech.datasets.list()
        unused = [dataset for dataset in there if dataset.id not in used]
    return Scope(tuple(sorted(chosen, key=by_age)), tuple(sorted(tests, key=by_age)), tuple(sorted(unused, key=by_age)))


def find_project(speech: SpeechClient, wanted: str) -> Project:
    """The project with this id or name, which is not made where it is missing."""
    found = list(speech.projects.list(filters.eq("displayName", wanted)))
    if found:
        return min(found, key=by_age)
    try:
        return speech.projects.get(wanted)
    except NotFoundError:
        names = ", ".join(sorted(str(one.display_name) for one in speech.projects.list())) or "none"
        raise SettingsError(f"there is no project {wanted!r}", hint=f"projects of the resource: {names}") from None


def known(store: Store, resource: str) -> Known:
    """What MLflow knows of a resource, in all experiments: finished runs, and runs of ours that are at work."""
    models: dict[str, str] = {}
    evaluations: dict[str, str] = {}
    for run in _runs(store, resource):
        facts = run.data.tags
        if run.info.status not in runs.OPEN | {"FINISHED"} or (run.info.status in runs.OPEN and tags.IMPORTED in facts):
            continue  # failed, or an import that was interrupted
        if facts.get(tags.KIND) == tags.KIND_TRAIN and tags.MODEL_ID in facts:
            models.setdefault(facts[tags.MODEL_ID], str(run.info.run_id))
        elif facts.get(tags.KIND) == tags.KIND_TEST:
            for evaluation_id in facts.get(tags.EVALUATION_ID, "").split(","):
                evaluations.setdefault(evaluation_id, str(run.info.run_id))
    return Known(models, evaluations)


def tested(evaluation: Evaluation) -> list[EntityReference]:
    """The models that an evaluation tested, each once: a lone one stands on both sides."""
    both = [model for model in (evaluation.model1, evaluation.model2) if model is not None]
    return list({model.id: model for model in both}.values())


def began(entity: Entity) -> int | None:
    """When an entity was made, in milliseconds since 1970."""
    return int(entity.created_date_time.timestamp() * 1000) if entity.created_date_time else None


def ended(entity: Entity) -> int | None:
    """When the service had done with an entity, in milliseconds since 1970."""
    last = entity.last_action_date_time or entity.created_date_time
    return int(last.timestamp() * 1000) if last else None


def _runs(store: Store, resource: str) -> list[Run]:
    wanted = f"tags.`{tags.RESOURCE}` = '{resource}' and tags.`{tags.KIND}` != '{tags.KIND_PROMOTION}'"
    return search_all(store.client, all_experiments(store.client), wanted)
