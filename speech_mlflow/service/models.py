"""Models: base models, which are there, and custom models, which are made and may be copied to other resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from speech_mlflow.errors import SettingsError, UnknownOutcomeError
from speech_mlflow.service.entities import (
    BaseModel,
    CustomModel,
    ModelCopyAuthorization,
    ModelCopyAuthorizationDefinition,
    ModelManifest,
    Operation,
)
from speech_mlflow.service.resource import Properties, Thing, WithFiles, id_of_thing, named, pages, parse, reference
from speech_mlflow.service.retry import Safety
from speech_mlflow.service.transport import OutcomeUnknown, path_segment


class Models(WithFiles[CustomModel]):
    """Base models, which are there, and custom models, which are made."""

    kind = "model"
    record = CustomModel

    def create(
        self,
        *,
        display_name: str,
        locale: str,
        datasets: Iterable[Thing],
        base_model: Thing | None = None,
        custom_model_weight_percent: int | None = None,
        description: str | None = None,
        project: Thing | None = None,
        custom_properties: Properties = None,
    ) -> CustomModel:
        """Train a custom model; it cannot be stopped, and may cost money.

        Without ``base_model`` the service takes its present default. ``custom_model_weight_percent`` (1 to 100) is the share of
        the custom model in the mix; without it the service chooses.
        """
        if custom_model_weight_percent is not None and not 1 <= custom_model_weight_percent <= 100:
            raise SettingsError(f"customModelWeightPercent is 1 to 100, not {custom_model_weight_percent}")
        weight = {"customModelWeightPercent": custom_model_weight_percent}
        return self._create(
            named(display_name, locale, description, self._project(project), custom_properties)
            | {
                "datasets": [reference(self._transport, "dataset", dataset) for dataset in datasets],
                "baseModel": reference(self._transport, "base_model", base_model) if base_model else None,
                "properties": weight if custom_model_weight_percent is not None else None,
            }
        )

    def list_base(self, filter: str | None = None, top: int | None = None) -> Iterator[BaseModel]:
        """The base models of all locales, or of those that ``filter`` names."""
        return pages(self._transport, BaseModel, "/models/base", filter=filter, top=top)

    def get_base(self, id: Thing) -> BaseModel:
        """One base model."""
        answer = self._transport.call("GET", f"/models/base/{path_segment(id_of_thing(id))}")
        return parse(BaseModel, answer.object(), answer, self._transport)

    def manifest(self, id: Thing, *, sas_lifetime_minutes: int = 720, base: bool = False) -> ModelManifest:
        """What a container needs to run the model: a base model is known by its record, or by ``base`` where an id is given."""
        path = "/models/base" if base or isinstance(id, BaseModel) else "/models"
        answer = self._transport.call(
            "GET",
            f"{path}/{path_segment(id_of_thing(id))}/manifest",
            params={"sasLifetimeMinutes": sas_lifetime_minutes},
        )
        return parse(ModelManifest, answer.object(), answer, self._transport)

    def authorize_copy(self, source_resource_id: str) -> ModelCopyAuthorization:
        """Allow another resource (its Azure resource id) to copy a model into this one. Ask the *target* for it."""
        answer = self._transport.call(
            "POST",
            "/models:authorizecopy",
            json=ModelCopyAuthorizationDefinition(source_resource_id=source_resource_id).to_json(),
            safety=Safety.REPEATABLE,  # an authorisation that nobody uses expires
        )
        return parse(ModelCopyAuthorization, answer.object(), answer, self._transport)

    def copy(self, id: Thing, authorization: ModelCopyAuthorization) -> Operation:
        """Copy a custom model to the resource that gave ``authorization``. Ask the *source*; wait on the operation.

        Raises `UnknownOutcomeError` where the answer was lost: operations cannot be listed, so look in the target.
        """
        try:
            answer = self._transport.call("POST", f"{self._of(id)}:copy", json=authorization.to_json())
        except OutcomeUnknown as unknown:
            raise UnknownOutcomeError(
                f"the copy of model {id_of_thing(id)} may or may not have begun: {unknown.error}",
                hint=f"look for the model in {authorization.target_resource_id} before copying again",
            ) from None
        location = answer.headers.get("operation-location")
        if location and not answer.body.strip():
            return self.copy_operation(location)
        return parse(Operation, answer.object(), answer, self._transport)

    def copy_operation(self, id: str) -> Operation:
        """How far a copy is; ``id`` of the operation, or its link. ``result.link`` names the model in the target."""
        return self.poll_copy(id)[0]

    def poll_copy(self, id: str) -> tuple[Operation, float | None]:
        """How far a copy is, and the seconds that the service asks to wait before it is read again."""
        own = self._transport.own_path(id) if "/" in id else f"/operations/models/copy/{path_segment(id)}"
        answer = self._transport.call("GET", own)
        return parse(Operation, answer.object(), answer, self._transport), answer.retry_after
