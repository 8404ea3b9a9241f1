"""A server that asks who is there: what a user may not do is said in words, and before anything costs money."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from speech_mlflow import workflow
from speech_mlflow.corpus import Corpus, read_corpus
from speech_mlflow.errors import TrackingError
from speech_mlflow.promotion import claim, journal, usecases
from speech_mlflow.promotion.target import Target
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.choose import choose_base_model
from speech_mlflow.tracking import registry, runs, tags
from speech_mlflow.tracking.runs import Work
from speech_mlflow.tracking.store import open_store
from speech_mlflow.tracking.versions import list_versions
from tests.fixtures.mlflow_server import MlflowServer
from tests.servers.conftest import ADMIN, PASSWORD, READER, USER, login
from tests.workflow.tools import Mlflow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

As = Callable[..., Mlflow]


@pytest.fixture
def as_(auth_server: MlflowServer) -> Iterator[As]:
    """Be somebody: the client of MLflow reads who it is at each request."""
    with pytest.MonkeyPatch.context() as patch:

        def be(user: str, password: str | None = None) -> Mlflow:
            for name, value in login(user).items():
                patch.setenv(name, value)
            if password is not None:
                patch.setenv("MLFLOW_TRACKING_PASSWORD", password)
            return Mlflow(auth_server.uri, "of ada")

        yield be


def test_who_may_only_look_trains_nothing(as_: As, speech: SpeechClient, text: Path) -> None:
    as_(USER).client.create_experiment("of ada")
    reader = as_(READER)
    before = [model.id for model in speech.models.list()]
    with pytest.raises(TrackingError, match=r"does not let the user 'bob' do this \(runs/create\)") as caught:
        workflow.train(speech, name="bobs", data=[text], registered_model="bobs", weight_percent=3, **reader.where)
    assert "EDIT on the experiment" in str(caught.value.hint)
    assert [model.id for model in speech.models.list()] == before
    assert reader.runs() == []
    data = workflow.upload(speech, read_corpus(text, locale="en-US"))
    base = choose_base_model(speech, "en-US", [str(data.kind)])
    made = speech.models.create(display_name="by hand", locale="en-US", datasets=[data], base_model=base)
    speech.wait(made)
    with pytest.raises(TrackingError, match=r"does not let the user 'bob' do this \(runs/create\)"):
        workflow.import_existing(speech, models=[made.id], **reader.where)


def test_who_may_only_look_promotes_nothing(as_: As, speech: SpeechClient, text: Path) -> None:
    ada = as_(USER)
    trained = workflow.train(speech, name="adas", data=[text], registered_model="adas", weight_percent=4, **ada.where)
    journal.experiment(ada.client)  # who makes it may write to it
    reader = as_(READER)
    assert [row.model_id for row in list_versions(reader.client, "adas")] == [trained.model.id]
    with pytest.raises(TrackingError, match="transition-stage") as caught:
        usecases.promote(speech, reader.client, "adas", "1")
    assert "EDIT on the registered model" in str(caught.value.hint)
    with pytest.raises(TrackingError, match="permission denied"):
        usecases.promote(speech, reader.client, "adas", "1", Target(trigger="alias"))
    assert registry.find_version(reader.client, "adas/1").current_stage == "None"
    assert not [one for one in speech.endpoints.list() if one.display_name == "speech-mlflow/adas/default"]

    # a controller of the same user, after somebody who may has moved the version
    as_(USER)
    registry.set_stage(ada.client, "adas", "1", "Production")
    as_(READER)
    with pytest.raises(TrackingError, match="permission denied"):
        usecases.apply_plan(speech, reader.client, usecases.plan_for(speech, reader.client, "adas"), Target())
    as_(USER)
    assert usecases.promote(speech, ada.client, "adas", "1").result == "served"
    as_(READER)  # the claim's run is there by now: may not write is not the same as must wait
    with pytest.raises(MlflowException, match="403"):
        claim.acquire(reader.client, journal.experiment(reader.client), "adas/default")


def test_a_model_that_may_not_be_registered_is_kept(as_: As, speech: SpeechClient, text: Path) -> None:
    """Ada's registered model takes no version of Bob's; what he trained is found again when it may."""
    as_(USER).client.create_registered_model("only adas")
    bob = as_(READER)
    where = {"tracking_uri": bob.uri, "experiment": "of bob"}
    with pytest.raises(TrackingError, match="permission denied") as caught:
        workflow.train(speech, name="bobs", data=[text], registered_model="only adas", weight_percent=5, **where)
    assert "EDIT on the registered model" in str(caught.value.hint)
    done = workflow.train(speech, name="bobs", data=[text], registered_model="bobs own", weight_percent=5, **where)
    assert (done.reused, done.version) == (True, "1")


def test_who_may_edit_trains_tests_and_promotes_what_others_made(
    as_: As, auth_server: MlflowServer, speech: SpeechClient, text: Path, testing: Corpus
) -> None:
    """EDIT is enough, as the README says: deleting takes MANAGE, and nothing depends on it."""
    import requests

    ada = as_(USER)
    first = workflow.train(speech, name="shared", data=[text], registered_model="shared", weight_percent=6, **ada.where)
    workflow.test(speech, data=testing, models=[first.model], **ada.where)
    usecases.promote(speech, ada.client, "shared", "1", Target(trigger="alias"))
    promotions = journal.experiment(ada.client)
    shared = (("experiment", ada.experiment_id), ("experiment", promotions), ("registered_model", "shared"))
    for kind, id_ in shared:
        grant = {"username": READER, "resource_type": kind, "resource_id": id_, "permission": "EDIT"}
        url = f"{auth_server.uri}/api/3.0/mlflow/users/permissions/grant"
        requests.post(url, json=grant, auth=(ADMIN, PASSWORD), timeout=60).raise_for_status()

    bob = as_(READER)
    second = workflow.train(speech, name="shared", data=[text], registered_model="shared", weight_percent=7, **bob.where)
    workflow.test(speech, data=testing, models=[second.model], **bob.where)
    bob.client.set_model_version_tag("shared", "2", tags.HOLD, "said no once")
    for number in ("2", "1"):
        promoted = usecases.promote(speech, bob.client, "shared", number, Target(trigger="alias"), override="a test of rights")
        assert promoted.result == "served"
        served = [row.version for row in list_versions(bob.client, "shared") if row.served]
        assert served == [int(number)]
    assert [row.hold for row in list_versions(bob.client, "shared")] == [None, None]

    # of two that begin the same at once one gives way, whoever it is
    store = open_store(bob.uri, experiment=bob.experiment)
    ours = runs.begin(store, Work(tags.KIND_TRAIN, "race", "race"))
    facts = {tags.KIND: tags.KIND_TRAIN, tags.KEY: "race", tags.ATTEMPT: "1"}
    rival = store.client.create_run(store.experiment_id, start_time=ours.run.info.start_time - 5, tags=facts)
    assert runs.settle(store, ours).id == rival.info.run_id
    assert runs.begin(store, Work(tags.KIND_TRAIN, "race", "race")).id == rival.info.run_id
    held = claim.acquire(bob.client, promotions, "shared/rotated")
    held.release()
    for _ in range(3):
        claim.acquire(bob.client, promotions, "shared/rotated", rotate_at=1).release()


def test_a_wrong_password_is_said(as_: As, speech: SpeechClient, text: Path) -> None:
    wrong = as_(USER, "something else")
    with pytest.raises(TrackingError, match="does not know the user 'ada'") as caught:
        workflow.train(speech, name="adas", data=[text], **wrong.where)
    assert "MLFLOW_TRACKING_PASSWORD" in str(caught.value.hint)
    assert "something else" not in f"{caught.value}{caught.value.hint}"
