"""The deployment target ``speech`` of MLflow: ``mlflow deployments ... -t speech``, ``get_deploy_client("speech")``.

MLflow imports this module when the target is asked for: it stands on MLflow's base class and the standard library alone. A
deployment is what serves a registered model, and is called as that is; there is one endpoint for each, with an id that stays.
Every write goes through the same gates, claim and journal as ``speech-mlflow promote``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from mlflow.deployments.base import BaseDeploymentClient
from mlflow.exceptions import MlflowException

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.deployments import PredictionsResponse

    from speech_mlflow.promotion import Applied, Options, Target
    from speech_mlflow.promotion.records import Registered
    from speech_mlflow.promotion.regions import Regions
    from speech_mlflow.service import SpeechClient
    from speech_mlflow.settings import Settings

FLAVOR = "speech_mlflow"
"""The flavour of a model that lives in the speech service, as its MLmodel file says."""
CONFIG = ("override", "why")

HELP = """\
The target "speech" serves registered models by endpoints of Azure AI Speech. It takes no path: -t speech

A deployment is called as its registered model; there is one endpoint for each, and its id stays through updates.
  create  -m models:/clinic/2 --name clinic    ask the gates, move the version to Production, deploy it
  update  -m models:/clinic/3 --name clinic    the same on the endpoint that is there; without -m: what the registry says
  delete  --name clinic                        archive what is in Production and delete the endpoint
  list, get --name clinic                      what is served, by which endpoint
  predict --name clinic -I in.json             transcripts of WAV files up to 60 s, by path or URL: [{"audio": "call.wav"}]

-C override="REASON"   serve it against what the gates say; the reason is recorded
-C why="TEXT"          why; recorded in the promotion's run

Speech resource, MLflow and gates are those of speech-mlflow.toml and of the SPEECH_MLFLOW_* and MLFLOW_TRACKING_URI variables
(`speech-mlflow config show`). Models deploy from the registry only: a URI is models:/NAME/VERSION, models:/NAME/STAGE or
models:/NAME@ALIAS. run-local is not there: `speech-mlflow emulator` runs the offline service.
"""


def target_help() -> str:
    """What ``mlflow deployments help -t speech`` prints."""
    return HELP


def run_local(name: str, model_uri: str, flavor: str | None = None, config: Mapping[str, Any] | None = None) -> NoReturn:
    """Refused: a model of the speech service has no files that could run here."""
    raise MlflowException.invalid_parameter_value(
        "a model of the speech service cannot be run locally: its files stay in the service. Without an endpoint in the settings, "
        "-t speech deploys to the offline service, which `speech-mlflow emulator` runs on this machine"
    )


class SpeechDeploymentClient(BaseDeploymentClient):  # type: ignore[misc, unused-ignore]
    """Deployments of registered models to the speech service of the settings. Errors are MlflowException."""

    def __init__(self, target_uri: str = "speech") -> None:
        if target_uri.rstrip(":/") != "speech":
            raise MlflowException.invalid_parameter_value(
                f"the target is speech, not {target_uri!r}: the speech resource is that of the settings"
            )
        super().__init__(target_uri)  # type: ignore[no-untyped-call, unused-ignore]

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Ask the gates, move the version of ``model_uri`` to Production and deploy it.

        The version that is served already changes nothing; another one is for :meth:`update_deployment`.
        """
        with _connected(flavor, endpoint) as at:
            number = at.version(name, model_uri)
            model, target = at.read(name)
            served = at.served(model, target)
            if served is not None and served["version"] != number:
                _fail(
                    f"the deployment {name} is there and serves version {served['version']}: update it",
                    "RESOURCE_ALREADY_EXISTS",
                )
            return at.promote(name, number, _config(config))

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Serve another version under the same endpoint id; without ``model_uri`` what the registry says."""
        with _connected(flavor, endpoint) as at:
            at.deployed(name)
            if model_uri is None:
                return at.apply(name, _config(config))
            return at.promote(name, at.version(name, model_uri), _config(config))

    def delete_deployment(self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None) -> None:
        """Archive what is in Production and delete the endpoint. It is no error that there is none."""
        from speech_mlflow.promotion.withdraw import withdraw

        with _connected(None, endpoint) as at:
            options = at.options(_config(config), f"deployment {name} deleted")
            _, target = at.read(name)
            withdraw(at.speech, at.client, name, target, options=options)
            for region in target.regions:
                withdraw(at.regions.speech(region), at.client, name, target.in_region(region), options=options)

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Every registered model that is served."""
        from speech_mlflow.promotion import registry

        with _connected(None, endpoint) as at:
            models = registry.read_all(at.client).values()
            served = (at.served(model, at.target(model.name)) for model in models)
            return [one for one in served if one is not None]

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """What is served for a registered model: version, endpoint, the service's model and its status."""
        with _connected(None, endpoint) as at:
            found = at.deployed(name)
            return {**found, **at.status(found["endpoint_id"])}

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Transcripts of recordings of at most 60 s each: a list, a series or the first column of a data frame, of paths, URLs
        or WAV contents."""
        from mlflow.deployments import PredictionsResponse

        from speech_mlflow.flavor import load_recording, recordings_in

        if deployment_name is None:
            _fail("predict needs the name of a deployment", "INVALID_PARAMETER_VALUE")
        with _connected(None, endpoint) as at:
            endpoint_id = at.deployed(deployment_name)["endpoint_id"]
            language = at.status(endpoint_id)["locale"] or at.settings.locale
            recordings = [load_recording(one) for one in recordings_in(inputs)]
            heard = [at.speech.recognize(endpoint_id, wav, language=language).display for wav in recordings]
        return PredictionsResponse({"predictions": heard})


class _Connected:
    """Settings, service and registry for one call."""

    def __init__(self, settings: Settings, speech: SpeechClient, client: MlflowClient, regions: Regions) -> None:
        self.settings = settings
        self.regions = regions
        self.speech = speech
        self.client = client

    def target(self, name: str) -> Target:
        from speech_mlflow.promotion import target_of

        return target_of(self.settings, name)

    def read(self, name: str) -> tuple[Registered, Target]:
        from speech_mlflow.promotion import registry

        model = registry.read(self.client, name)
        return model, self.target(name).with_tags(model.tags)

    def version(self, name: str, model_uri: str) -> str:
        """The version that a URI names, of the registered model that the deployment is called after."""
        from speech_mlflow.tracking.registry import find_version

        if not str(model_uri).startswith("models:/"):
            _fail(f"{model_uri} is not in the registry: give models:/NAME/VERSION", "INVALID_PARAMETER_VALUE")
        found = find_version(self.client, model_uri)
        if found.name != name:
            _fail(f"a deployment is called as its registered model: --name {found.name}, not {name}", "INVALID_PARAMETER_VALUE")
        return str(found.version)

    def options(self, config: Mapping[str, str], why: str) -> Options:
        from speech_mlflow.promotion.options import Options, user

        return Options(who=user(), why=config.get("why") or why)

    def promote(self, name: str, number: str, config: Mapping[str, str]) -> dict[str, Any]:
        from speech_mlflow.promotion import promote

        options = self.options(config, f"mlflow deployments: {name}/{number}")
        override = config.get("override")
        applied = promote(self.speech, self.client, name, number, self.target(name), override=override, options=options)
        return self._result(name, applied, options)

    def apply(self, name: str, config: Mapping[str, str]) -> dict[str, Any]:
        from speech_mlflow.promotion import apply_plan, plan_for

        target = self.target(name)
        made = plan_for(self.speech, self.client, name, target, ask_gates=False)
        options = self.options(config, f"mlflow deployments: update {name}")
        return self._result(name, apply_plan(self.speech, self.client, made, target, options=options), options)

    def deployed(self, name: str) -> dict[str, Any]:
        found = self.served(*self.read(name))
        if found is None:
            _fail(f"there is no deployment {name}: nothing serves it", "RESOURCE_DOES_NOT_EXIST")
        return found

    def served(self, model: Registered, target: Target) -> dict[str, Any] | None:
        """What the registry says is served, None where nothing is."""
        from speech_mlflow.tracking import tags

        endpoint_id, number = model.tags.get(target.tag(tags.ENDPOINT_ID)), model.tags.get(target.tag(tags.SERVED_VERSION))
        version = model.version(number)
        if endpoint_id is None or number is None:
            return None
        return {
            "name": model.name,
            "flavor": FLAVOR,
            "version": number,
            "model_uri": f"models:/{model.name}/{number}",
            "endpoint_id": endpoint_id,
            "model_id": version.tags.get(tags.MODEL_ID) if version else None,
        }

    def status(self, endpoint_id: str) -> dict[str, Any]:
        found = self.speech.endpoints.get(endpoint_id)
        served = found.model.id if found.model else None
        return {"status": found.status, "served_model_id": served, "locale": found.locale, "resource": self.speech.resource}

    def _result(self, name: str, applied: Applied, options: Options) -> dict[str, Any]:
        if not applied.served:
            _fail(f"{name}: {applied.result}: {applied.reason}", "INVALID_STATE")
        elsewhere = self.regions.apply(self.client, applied, options)
        wrong = [f"{part.region}: {part.result}: {part.reason}" for part in elsewhere if not part.well]
        if wrong:
            _fail(f"{name} is served by the first resource, and not everywhere: {'; '.join(wrong)}", "INVALID_STATE")
        found = {**self.deployed(name), "result": applied.result, "run_id": applied.run_id}
        return {**found, **({"regions": [part.region for part in elsewhere]} if elsewhere else {})}


@contextmanager
def _connected(flavor: str | None, endpoint: str | None) -> Iterator[_Connected]:
    """The service and the registry of the settings; our errors leave as MLflow's."""
    from speech_mlflow.connection import connect
    from speech_mlflow.errors import GateError, NotFoundError, PromotionError, SettingsError, SpeechMlflowError
    from speech_mlflow.promotion.regions import Regions
    from speech_mlflow.settings import Settings
    from speech_mlflow.tracking.store import open_client

    if flavor not in {None, FLAVOR}:
        _fail(f"the flavor is {FLAVOR}, not {flavor}", "INVALID_PARAMETER_VALUE")
    if endpoint is not None:
        _fail(
            "this target has no MLflow endpoints: one endpoint of the speech service serves one model",
            "INVALID_PARAMETER_VALUE",
        )
    codes = {GateError: "INVALID_STATE", NotFoundError: "RESOURCE_DOES_NOT_EXIST", PromotionError: "INVALID_STATE"}
    try:
        settings = Settings.load()
        with connect(settings) as speech, Regions(settings, speech) as regions:
            yield _Connected(settings, speech, open_client(), regions)
    except SpeechMlflowError as error:
        wrong = "INVALID_PARAMETER_VALUE" if isinstance(error, SettingsError) else "INTERNAL_ERROR"
        code = next((name for kind, name in codes.items() if isinstance(error, kind)), wrong)
        _fail(f"{error} ({error.hint})" if error.hint else str(error), code, error)


def _config(given: Mapping[str, Any] | None) -> dict[str, str]:
    unknown = sorted(set(given or {}) - set(CONFIG))
    if unknown:
        _fail(f"unknown -C {', '.join(unknown)}; there are {', '.join(CONFIG)}", "INVALID_PARAMETER_VALUE")
    return {key: str(value) for key, value in (given or {}).items()}


def _fail(message: str, code: str, cause: Exception | None = None) -> NoReturn:
    from mlflow.protos import databricks_pb2

    raise MlflowException(message, error_code=getattr(databricks_pb2, code)) from cause
