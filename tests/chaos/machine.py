"""A machine of states for Hypothesis: what people, processes and networks do to a promotion, in any order.

The registry, the service and the processes are real. After each step the state of the world is compared with what must always
hold; :meth:`PromotionMachine.converge` lets the faults stop and asks for the rest.
"""

from __future__ import annotations

import json
import signal
import threading
import time
import uuid
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from speech_mlflow.errors import GateError, PromotionError, ServiceError
from speech_mlflow.promotion.controller import Controller
from speech_mlflow.promotion.crash import STEPS, VARIABLE
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.usecases import promote, rollback
from speech_mlflow.tracking import tags
from tests.chaos.actors import apply_once
from tests.promotion.world import World, versions_served
from tests.waiting import PATIENCE

GOOD, BROKEN = ("1", "2", "3"), "4"
"""Versions whose models work, and one whose model cannot be deployed."""
VERSIONS = st.sampled_from([*GOOD, *GOOD, BROKEN])
POINTS = st.sampled_from([f"{when}:{step}" for step in STEPS for when in ("before", "after")])
LOST = st.sampled_from(
    [
        {"kind": kind, "method": method, "path": "/endpoints", "times": times, "status": 503}
        for kind in ("lost", "reset", "truncate", "status")
        for method, times in (("POST", 1), ("PATCH", 1), ("GET", 2))
    ]
)


class PromotionMachine(RuleBasedStateMachine):
    """One registered model and its endpoint. ``world`` and ``processes`` are set by the test before it runs."""

    world: ClassVar[World]
    processes: ClassVar[Any]

    # --- the start -----------------------------------------------------------------------------------------------------

    @initialize(trigger=st.sampled_from(["stage", "stage", "alias"]), approved=st.sets(st.sampled_from(GOOD)))
    def begin(self, trigger: str, approved: set[str]) -> None:
        """Four versions trained by ann; some of them approved by bob."""
        world = self.world
        self.name = f"clinic {uuid.uuid4().hex[:8]}"
        self.trigger = trigger
        self.declared = {"trigger": trigger, "approval": True}
        self.target = Target.declared(self.declared)
        world.register(self.name, versions=0)
        run = world.client.create_run("0", tags={"mlflow.user": "ann"})
        for model in (*world.models, world.service.broken):
            world.add_version(self.name, model, **{tags.TRAIN_RUN_ID: run.info.run_id})
        self.approved: set[str] = set()
        for version in (*sorted(approved), BROKEN):
            self._approve(version)
        self.stages: dict[str, str] = {}
        self.moved_last: str | None = None
        self.alias: str | None = None
        self.may_answer: set[int | None] = set()
        self.vetted: set[str] = set()
        self.published: str | None = None
        world.client.create_registered_model(f"{self.name} of others")

    def teardown(self) -> None:
        """Everything comes to rest, and makes room for the next one."""
        if hasattr(self, "name"):
            self.converge()
            for endpoint in self._marked():
                self.world.speech.endpoints.delete(endpoint.id)

    # --- what people do ------------------------------------------------------------------------------------------------

    @rule(version=VERSIONS, archive=st.booleans())
    def move(self, version: str, archive: bool) -> None:
        """Somebody moves a version to Production, and the others out of it or not."""
        self.world.move(version, self.name, archive=archive)
        self._moved(version, archive)

    @rule(version=VERSIONS)
    def move_the_alias(self, version: str) -> None:
        """The alias deploys where it is the trigger, and nothing elsewhere."""
        self.world.client.set_registered_model_alias(self.name, "production", version)
        self.alias = version

    @rule(version=VERSIONS)
    def archive(self, version: str) -> None:
        """A version goes to the archive, also the one that is served."""
        time.sleep(0.002)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.world.client.transition_model_version_stage(self.name, version, "Archived")
        self.stages[version] = "Archived"
        self.moved_last = None

    @rule(version=st.sampled_from(GOOD))
    def approve_or_not(self, version: str) -> None:
        """An approval is given, or taken back."""
        if version in self.approved:
            self.world.client.delete_model_version_tag(self.name, version, "speech.approved_by")
            self.approved.discard(version)
        else:
            self._approve(version)

    @rule(version=VERSIONS)
    def promote(self, version: str) -> None:
        """Somebody promotes in one go. What a gate refuses changes nothing in the registry."""
        before = self._registry()
        try:
            promote(self.world.speech, self.world.client, self.name, version, self.target, options=self._options())
        except GateError:
            assert self._registry() == before
            return
        except ServiceError as error:
            assert error.retryable  # noqa: PT017 - the network
        if self._registry() != before or self._wanted() == version:
            if self.trigger == "alias":
                self.alias = version
            elif self._registry() != before:
                self._moved(version, archive=True)

    @rule()
    def roll_back(self) -> None:
        """Somebody wants the version before."""
        before = self._registry()
        try:
            rollback(self.world.speech, self.world.client, self.name, self.target, options=self._options())
        except PromotionError:  # a gate said no, or nothing was served before
            assert self._registry() == before
            return
        except ServiceError as error:
            assert error.retryable  # noqa: PT017 - the network
        self._read_the_registry(before)

    # --- what happens ----------------------------------------------------------------------------------------------------

    @rule()
    def tick(self) -> None:
        """The controller looks once."""
        with suppress(ServiceError):
            self._apply()

    @rule(times=st.integers(1, 4))
    def wake(self, times: int) -> None:
        """A controller starts, is woken several times for the same thing, and ends when nothing is left to do."""
        idle = threading.Event()

        def hear(event: Any) -> None:
            if event.kind == "idle":
                idle.set()

        options = self._options(on_event=hear)
        controller = Controller(
            self.world.speech, self.world.client, lambda _: self.target, only=frozenset({self.name}), options=options
        )
        thread = threading.Thread(target=controller.run)
        thread.start()
        for _ in range(times):
            controller.wake(self.name)
        assert idle.wait(PATIENCE)
        controller.stop()
        thread.join(30)
        assert not thread.is_alive()

    @rule(point=POINTS)
    def crash(self, point: str) -> None:
        """A process dies at a step, if it comes to it."""
        arguments = (self.world.client.tracking_uri, self.world.service.address, self.name, self.declared)
        child = self.processes.Process(target=apply_once, args=(*arguments, {VARIABLE: point}))
        child.start()
        child.join(PATIENCE)
        assert child.exitcode in {0, 1, -signal.SIGKILL}

    @rule(fault=LOST)
    def lose(self, fault: dict[str, Any]) -> None:
        """The next answer or request of a kind gets lost."""
        self.world.service.tell(faults=[fault])

    @precondition(lambda self: self._published_endpoint() is not None)
    @rule(model=st.integers(0, 2))
    def change_by_hand(self, model: int) -> None:
        """Somebody changes the model of the endpoint at the service."""
        self.world.service.tell(faults=[])
        endpoint_id = str(self._published_endpoint())
        self.may_answer.add(model)
        self.world.speech.wait(self.world.speech.endpoints.update(endpoint_id, model=self.world.models[model]))

    @precondition(lambda self: self._published_endpoint() is not None)
    @rule()
    def delete_by_hand(self) -> None:
        """Somebody deletes the endpoint."""
        self.world.service.tell(faults=[])
        for endpoint in self._marked():
            while not self.world.speech.endpoints.get(endpoint.id).done:
                time.sleep(0.02)
            self.world.speech.endpoints.delete(endpoint.id)

    @rule()
    def converge(self) -> None:
        """The faults stop: after at most three goes everything is as it should be, and stays so."""
        self.world.service.tell(faults=[])
        results = [self._apply() for _ in range(3)]
        assert results[-1] in {"unchanged", "blocked"}, results
        runs = len(self.world.runs())
        before = [endpoint.to_json() for endpoint in self._marked()]
        assert self._apply() == results[-1]
        assert len(self.world.runs()) == runs
        assert [endpoint.to_json() for endpoint in self._marked()] == before
        wanted = self._wanted()
        published = self.world.tag("speech.served_version", None, self.name)
        if wanted in self.approved and wanted != BROKEN:
            assert published == wanted
        # where the registry asks for nothing, what is served stays as it is; of an endpoint deleted by hand nothing is left
        if wanted is not None and published is not None and self._published_endpoint():
            versions_served(self.world, published, self.name)
            self.may_answer = {int(published) - 1}
        assert all(run.data.tags["speech.open"] == "false" for run in self.world.runs())

    # --- what always holds -----------------------------------------------------------------------------------------------

    @invariant()
    def there_is_one_endpoint(self) -> None:
        """I1, I2: never two with our mark, and whatever carries it has the name by which it is found."""
        if hasattr(self, "name"):
            marked = self._marked()
            assert len(marked) <= 1
            assert [one.display_name for one in marked] == [f"speech-mlflow/{self.name}/default"] * len(marked)

    @invariant()
    def the_endpoint_answers(self) -> None:
        """I5: what was published answers, with the old or the new model."""
        if not hasattr(self, "name"):
            return
        self.may_answer |= {int(version) - 1 for version in (self._wanted(),) if version and version != BROKEN}
        endpoint_id = self._published_endpoint()
        if endpoint_id is not None:
            assert self.world.hears(endpoint_id) in self.may_answer

    @invariant()
    def what_is_served_passed_the_gates(self) -> None:
        """I4, I8: the version that the mark names was let through, and the run that wrote it holds what the gates said."""
        if not hasattr(self, "name"):
            return
        for endpoint in self._marked():
            properties = endpoint.custom_properties or {}
            version = properties["model-version"]
            run = self.world.client.get_run(properties["mlflow-run-id"])
            assert run.data.params["registered_model"] == self.name
            if run.data.params["version"] == version and version not in self.vetted:
                said = json.loads(
                    Path(self.world.client.download_artifacts(run.info.run_id, "promotion/gates.json")).read_text()
                )["decisions"]
                assert {one["gate"]: one["passed"] for one in said}["approval"]
                assert all(one["passed"] for one in said)
                self.vetted.add(version)
            assert version in self.vetted

    # --- small things ----------------------------------------------------------------------------------------------------

    def _apply(self) -> str:
        return self.world.apply(self.name, self.target).result

    def _options(self, **more: Any) -> Options:
        return Options(**{"who": "cy", "why": "a test", "look_after": (0.0, 0.2), **more})

    def _approve(self, version: str) -> None:
        self.world.client.set_model_version_tag(self.name, version, "speech.approved_by", "bob")
        self.approved.add(version)

    def _moved(self, version: str, archive: bool) -> None:
        if archive:
            self.stages = {other: "Archived" if stage == "Production" else stage for other, stage in self.stages.items()}
        self.stages[version] = "Production"
        self.moved_last = version

    def _read_the_registry(self, before: Any) -> None:
        """After a move whose version we did not choose: take over what the registry says now."""
        stages, aliases = self._registry()
        if (stages, aliases) != before:
            self.stages = {number: stage for number, stage in stages.items() if stage != "None"}
            (self.moved_last, *_) = [number for number, stage in stages.items() if stage == "Production"] or [None]
        self.alias = aliases.get("production")

    def _registry(self) -> tuple[dict[str, str], dict[str, str]]:
        versions = self.world.client.search_model_versions(f'name="{self.name}"')
        aliases = self.world.client.get_registered_model(self.name).aliases
        stages = {str(one.version): str(one.current_stage) for one in versions}
        return stages, {alias: str(number) for alias, number in aliases.items()}

    def _wanted(self) -> str | None:
        """What the registry asks for, by the moves that were made."""
        if self.trigger == "alias":
            return self.alias
        production = [version for version, stage in self.stages.items() if stage == "Production"]
        if len(production) == 1:
            return production[0]
        return self.moved_last if self.moved_last in production else None

    def _marked(self) -> list[Any]:
        uid = self.world.tag(tags.UID, None, self.name)
        return [one for one in self.world.speech.endpoints.list() if (one.custom_properties or {}).get("speech-uid") == uid]

    def _published_endpoint(self) -> str | None:
        """The endpoint whose address clients have, where nobody deleted it by hand."""
        noted = self.world.tag(tags.ENDPOINT_ID, None, self.name) if hasattr(self, "name") else None
        return noted if noted in {one.id for one in self._marked()} else None
