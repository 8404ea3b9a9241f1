"""The whole chain in MLflow, from data to what is served, and back.

Data, train run, model, tests, versions, promotions, endpoint: each came of the one before.

Everything is read from runs, logged models and the registry; the speech service is not asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from speech_mlflow.errors import TrackingError
from speech_mlflow.tracking import registry, runs, tags, values
from speech_mlflow.tracking.dataset import CONTEXT
from speech_mlflow.tracking.store import all_experiments, quoted, search_all

Kind = Literal["data", "train", "base model", "model", "test", "version", "promotion", "endpoint"]
DEFAULT_TARGET = "default"


@dataclass(frozen=True)
class Node:
    """One link of the chain. ``id`` is unique in a lineage: the kind and MLflow's or the service's id; ``key`` is that id."""

    kind: Kind
    key: str
    title: str
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Kind and key."""
        return f"{self.kind} {self.key}"

    def __str__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        return f"{self.kind} {self.title}" + (f" ({facts})" if facts else "")


@dataclass(frozen=True)
class Lineage:
    """Nodes and the edges between them, each from what was there first to what came of it; ``focus`` is what was asked for."""

    focus: str
    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]

    def before(self, id_: str) -> list[Node]:
        """What a node came from directly."""
        return [self.nodes[first] for first, second in self.edges if second == id_]

    def after(self, id_: str) -> list[Node]:
        """What came of a node directly."""
        return [self.nodes[second] for first, second in self.edges if first == id_]

    def of_kind(self, kind: Kind) -> list[Node]:
        """All nodes of one kind, in the order found: oldest first."""
        return [node for node in self.nodes.values() if node.kind == kind]

    def roots(self) -> list[Node]:
        """Where to begin to draw: each model; without one, each base model that was tested, else a training that made none."""
        tested = [base for base in self.of_kind("base model") if any(node.kind == "test" for node in self.after(base.id))]
        return self.of_kind("model") or tested or self.of_kind("train")

    def trainings(self, root: Node) -> list[Node]:
        """The training runs that a root came from, or the root itself where it is one."""
        return [root] if root.kind == "train" else [node for node in self.before(root.id) if node.kind == "train"]

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible values."""
        return {
            "focus": self.focus,
            "nodes": [
                {"id": node.id, "kind": node.kind, "key": node.key, "title": node.title, "facts": dict(node.facts)}
                for node in self.nodes.values()
            ],
            "edges": [{"from": first, "to": second} for first, second in self.edges],
        }

    def __str__(self) -> str:
        return "\n".join(self._draw())

    def _draw(self) -> Iterator[str]:
        """One block per trained model: what it came from above it, what came of it below it."""
        drawn: set[str] = set()
        for root in self.roots():
            trains = self.trainings(root)
            for train in trains:
                for source in self.before(train.id):
                    yield self._line(source, "")
                yield self._line(train, "└─ ")
            if root not in trains:
                yield from self._below(root, "   " if trains else "", last=True, drawn=drawn)

    def _below(self, node: Node, indent: str, *, last: bool, drawn: set[str]) -> Iterator[str]:
        yield self._line(node, indent + ("└─ " if last else "├─ "))
        if node.id in drawn:  # an endpoint that several versions were put on is described once
            return
        drawn.add(node.id)
        children = self.after(node.id)
        for position, child in enumerate(children, 1):
            yield from self._below(child, indent + ("   " if last else "│  "), last=position == len(children), drawn=drawn)

    def _line(self, node: Node, indent: str) -> str:
        return f"{indent}{node}" + ("  <" if node.id == self.focus else "")


def lineage(client: MlflowClient, reference: str) -> Lineage:
    """The chain around a version (``name/3``, ``name@alias``, ``name/stage``, ``name``), a run, or an endpoint, by its id or by
    the name that promotion gives it (``speech-mlflow/name/target``).

    Raises TrackingError where MLflow knows nothing of the kind.
    """
    return _Chain(client).around(reference)


class _Chain:
    """Reads MLflow and gathers nodes and edges; each is kept once."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._experiments = all_experiments(client)
        self._nodes: dict[str, Node] = {}
        self._edges: dict[tuple[str, str], None] = {}
        self._registered: dict[str, RegisteredModel] = {}

    def around(self, reference: str) -> Lineage:
        focus, model_ids = self._resolve(reference)
        for model_id in dict.fromkeys(model_ids):
            self._model(model_id)
        if focus not in self._nodes:
            raise TrackingError(f"nothing in MLflow leads to {reference!r}")
        return Lineage(focus, self._nodes, tuple(self._edges))

    def _resolve(self, reference: str) -> tuple[str, list[str]]:
        """The node asked for, and the service models whose chains hold it."""
        if reference.startswith(f"{tags.MANAGED_BY}/"):
            reference = self._endpoint_named(reference)
        if "/" not in reference and "@" not in reference:
            run = self._run(reference)
            if run is not None:
                return self._focus_of_run(run, reference)
            served = self._models_of_endpoint(reference)
            if served:
                return f"endpoint {reference}", served
        version = registry.find_version(self._client, reference)
        model_id = version.tags.get(tags.MODEL_ID)
        if model_id is None:
            raise TrackingError(f"{version.name} {version.version} is no model of the speech service")
        return f"version {version.name}/{version.version}", [model_id]

    def _focus_of_run(self, run: Run, reference: str) -> tuple[str, list[str]]:
        kind = run.data.tags.get(tags.KIND)
        if kind not in (tags.KIND_TRAIN, tags.KIND_TEST, tags.KIND_PROMOTION):
            raise TrackingError(f"run {reference} is no train, test or promotion of a speech model")
        model_ids = [one for one in run.data.tags.get(tags.MODEL_ID, "").split(",") if one]
        if kind == tags.KIND_TRAIN and not model_ids:
            self._train(run)
        return f"{kind} {run.info.run_id}", model_ids

    def _endpoint_named(self, name: str) -> str:
        """The id of the endpoint that serves a target."""
        model, _, target = name.partition("/")[2].rpartition("/")
        found = self._client.search_registered_models(f"name = {quoted(model)}")
        tag = tags.ENDPOINT_ID if target == DEFAULT_TARGET else f"{tags.ENDPOINT_ID}.{target}"
        endpoint_id = found[0].tags.get(tag) if found else None
        if endpoint_id is None:
            raise TrackingError(
                f"no endpoint {name!r} was ever published", hint="`speech-mlflow endpoints list` shows what there is"
            )
        return str(endpoint_id)

    def _models_of_endpoint(self, endpoint_id: str) -> list[str]:
        found = self._runs(_of(tags.KIND_PROMOTION, tags.ENDPOINT_ID, endpoint_id))
        return [model_id for run in found if (model_id := run.data.tags.get(tags.MODEL_ID))]

    def _model(self, model_id: str) -> None:
        trained = self._runs(_of(tags.KIND_TRAIN, tags.MODEL_ID, model_id))
        versions = registry.versions_of_model(self._client, None, model_id)
        tests = self._runs(f"tags.`{tags.KIND}` = '{tags.KIND_TEST}' and tags.`{tags.MODEL_ID}` LIKE {quoted(f'%{model_id}%')}")
        if not trained and not versions and not tests:
            return
        is_base = not trained and any(run.data.tags.get(tags.BASE_MODEL_ID) == model_id for run in tests)
        model = self._add(Node("base model" if is_base else "model", model_id, _model_title(model_id, trained, versions)))
        for run in trained:
            self._link(self._train(run), model)
        for run in tests:
            self._test(run, model, model_id)
        for version in versions:
            self._version(version, model)

    def _train(self, run: Run) -> Node:
        facts = run.data.tags
        train = self._add(Node("train", run.info.run_id, str(run.info.run_name), _run_facts(run)))
        for given in run.inputs.dataset_inputs if run.inputs else []:
            self._link(self._data(given), train)
        if base := facts.get(tags.BASE_MODEL_ID):
            self._link(self._add(Node("base model", base, run.data.params.get("base_model", base))), train)
        return train

    def _test(self, run: Run, model: Node, model_id: str) -> None:
        facts = _run_facts(run)
        label = next((label for label, id_ in runs.models_of(run) if id_ == model_id), None)
        wer = run.data.metrics.get(values.name(f"wer/{label}"))
        facts |= {"WER": f"{wer:.2%}"} if wer is not None else {}
        given = run.inputs.dataset_inputs if run.inputs else []
        if given:
            facts["data"] = str(given[0].dataset.name)
        test = self._add(Node("test", run.info.run_id, str(run.info.run_name), facts))
        self._link(model, test)
        for one in given:
            self._link(self._data(one), test)

    def _version(self, version: ModelVersion, model: Node) -> None:
        node = self._add(
            Node("version", f"{version.name}/{version.version}", f"{version.name}/{version.version}", _version_facts(version))
        )
        self._link(model, node)
        wanted = _of(tags.KIND_PROMOTION, tags.REGISTERED_MODEL, version.name)
        wanted += f" and tags.`{tags.MODEL_VERSION}` = '{version.version}'"
        for run in self._runs(wanted):
            self._promotion(run, node)

    def _promotion(self, run: Run, version: Node) -> None:
        facts = {**_run_facts(run), "result": run.data.tags.get(tags.RESULT, "open")}
        facts |= {name: value for name in ("who", "why") if (value := run.data.params.get(name))}
        promotion = self._add(Node("promotion", run.info.run_id, str(run.info.run_name), facts))
        self._link(version, promotion)
        if endpoint_id := run.data.tags.get(tags.ENDPOINT_ID):
            name, _, number = version.key.rpartition("/")
            self._link(promotion, self._endpoint(endpoint_id, name, number))

    def _endpoint(self, endpoint_id: str, name: str, number: str) -> Node:
        known = self._nodes.get(f"endpoint {endpoint_id}")
        if known is not None:
            return known
        model_tags = self._registered_model(name).tags
        target = next(
            (key for key, value in model_tags.items() if key.startswith(tags.ENDPOINT_ID) and value == endpoint_id), None
        )
        served = model_tags.get(tags.SERVED_VERSION + target.removeprefix(tags.ENDPOINT_ID)) if target else None
        facts = {"serves": f"{name}/{served}"} if served else {}
        return self._add(Node("endpoint", endpoint_id, endpoint_id, facts))

    def _data(self, given: DatasetInput) -> Node:
        facts = {tag.key: tag.value for tag in given.tags}
        shown = {name: facts[key] for name, key in (("kind", tags.DATASET_KIND), ("context", CONTEXT)) if key in facts}
        shown |= _amounts(given.dataset.profile)
        return self._add(Node("data", f"{given.dataset.name} {given.dataset.digest}", given.dataset.name, shown))

    def _registered_model(self, name: str) -> RegisteredModel:
        if name not in self._registered:
            self._registered[name] = self._client.get_registered_model(name)
        return self._registered[name]

    def _run(self, run_id: str) -> Run | None:
        try:
            return self._client.get_run(run_id)
        except MlflowException:  # the store's words for an id that is none of its own differ
            return None

    def _runs(self, wanted: str) -> list[Run]:
        return search_all(self._client, self._experiments, wanted)

    def _add(self, node: Node) -> Node:
        return self._nodes.setdefault(node.id, node)

    def _link(self, first: Node, second: Node) -> None:
        self._edges[first.id, second.id] = None


def _model_title(model_id: str, trained: Iterable[Run], versions: Iterable[ModelVersion]) -> str:
    for facts in [*(run.data.tags for run in trained), *(version.tags for version in versions)]:
        if name := facts.get(tags.DISPLAY_NAME):
            return f"{name} {model_id}"
    return model_id


def _amounts(profile: str | None) -> dict[str, str]:
    """How much data a data set is, of what its profile counts."""
    try:
        counts = json.loads(profile or "{}")
    except ValueError:
        return {}
    found = {}
    count = counts.get("utterances", counts.get("accepted_lines"))
    if isinstance(count, int):
        found["utterances" if counts.get("hours") else "lines"] = str(count)
    if counts.get("hours"):
        found["minutes"] = f"{60 * counts['hours']:.1f}"
    return found


def _run_facts(run: Run) -> dict[str, str]:
    facts = {"run": str(run.info.run_id), "at": moment(run.info.start_time)}
    if tags.IMPORTED in run.data.tags:
        facts["imported"] = run.data.tags[tags.IMPORTED].partition("T")[0]
    return facts if run.info.status == "FINISHED" else {**facts, "status": str(run.info.status).lower()}


def _version_facts(version: ModelVersion) -> dict[str, str]:
    facts = {}
    if version.current_stage not in (None, "None"):
        facts["stage"] = str(version.current_stage)
    if wer := version.tags.get(tags.WER):
        facts["WER"] = f"{float(wer):.2%}"
    if hold := version.tags.get(tags.HOLD):
        facts["held"] = hold
    return facts


def moment(milliseconds: int | None) -> str:
    """A time of MLflow's as text, UTC."""
    if milliseconds is None:
        return "?"
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")


def _of(kind: str, tag: str, value: str) -> str:
    """A filter of runs: of one kind, with a tag."""
    return f"tags.`{tags.KIND}` = '{kind}' and tags.`{tag}` = {quoted(value)}"
