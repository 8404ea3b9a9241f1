"""The client of one speech resource.

::

    with SpeechClient("https://NAME.cognitiveservices.azure.com", KeyCredential(key)) as speech:
        for model in speech.models.list(filters.eq("locale", "en-US")):
            print(model.display_name, model.status)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr
from typing_extensions import Self

from speech_mlflow.errors import PermissionDeniedError, ServiceError
from speech_mlflow.files import replacing
from speech_mlflow.progress import Progress
from speech_mlflow.service.credentials import AzureTokenCredential, Credential, as_credential
from speech_mlflow.service.entities import Entity, EntityReference, File, ModelFile, Operation
from speech_mlflow.service.models import Models
from speech_mlflow.service.recognition import RecognitionResult, recognize
from speech_mlflow.service.resource import Resource, Thing, id_of_thing, reference
from speech_mlflow.service.resources import Datasets, Endpoints, Evaluations, Projects
from speech_mlflow.service.retry import Timing
from speech_mlflow.service.transcriptions import Transcriptions
from speech_mlflow.service.transport import Transport
from speech_mlflow.service.waiting import Job, Pace, wait_for
from speech_mlflow.service.webhooks import WebHooks

if TYPE_CHECKING:
    import httpx

PendingT = TypeVar("PendingT", bound=Entity | Operation)
FILE_MAX = 256 * 2**20  # bytes that `read_file` holds in memory; longer files are for `download`


class SpeechClient:
    """One speech resource: its data sets, models, evaluations, endpoints, transcriptions, web hooks and projects.

    ``endpoint`` is what the Azure portal shows under *Keys and Endpoint*, or the URL of the offline service. ``credential`` is
    a `KeyCredential`, a `TokenCredential`, or a credential of azure-identity. ``recognition_host`` is where short audio is
    recognised, where that does not follow from the endpoint. ``resource`` names the resource for all time; without it, the
    endpoint's host does. Clock, sleep and dice of all waits come from ``timing``. May be used by several threads.
    """

    def __init__(
        self,
        endpoint: str,
        credential: Credential | AzureTokenCredential | SecretStr | str,
        *,
        recognition_host: str | None = None,
        resource: str | None = None,
        transport: httpx.BaseTransport | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._transport = Transport(
            endpoint,
            as_credential(credential),
            recognition_host=recognition_host,
            transport=transport,
            timing=timing,
        )
        self.endpoint = self._transport.endpoint
        self.resource = resource or urlsplit(self.endpoint).netloc
        self.timing = self._transport.timing
        self.projects = Projects(self._transport)
        self.datasets = Datasets(self._transport)
        self.models = Models(self._transport)
        self.evaluations = Evaluations(self._transport)
        self.endpoints = Endpoints(self._transport)
        self.transcriptions = Transcriptions(self._transport)
        self.webhooks = WebHooks(self._transport)
        self._pace = Pace(self.timing)

    def __repr__(self) -> str:
        return f"SpeechClient({self.endpoint!r}, resource={self.resource!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def ref(self, kind: str, thing: Thing) -> EntityReference:
        """A reference to an entity by its kind (*project*, *dataset*, *base_model*, *model*, ...), made for this endpoint."""
        return EntityReference.model_validate(reference(self._transport, kind, thing))

    def wait(self, entity: PendingT, *, timeout: float | None = None, progress: Progress | None = None) -> PendingT:
        """``entity`` as it is when it has Succeeded.

        ``timeout`` in seconds; without it the usual limit of its kind (data set 1 h, model 24 h, evaluation 6 h, endpoint
        45 min). Raises `OperationFailedError`, and `WaitTimeoutError` while it is still at work.
        """
        return self.wait_all([entity], timeout=timeout, progress=progress)[0]

    def wait_all(
        self, entities: Sequence[PendingT], *, timeout: float | None = None, progress: Progress | None = None
    ) -> list[PendingT]:
        """Wait for several at once; the first that fails ends the wait."""
        jobs = [self._job(entity) for entity in entities]
        return wait_for(jobs, timing=self.timing, pace=self._pace, timeout=timeout, progress=progress)

    def read_file(self, file: File | ModelFile) -> bytes:
        """The content of a file of the service's, up to 256 MiB. No credential is sent to the storage it lies in."""
        content = bytearray()

        def write(chunk: bytes) -> None:
            content.extend(chunk)
            if len(content) > FILE_MAX:
                raise ServiceError(f"{file.name} is longer than {FILE_MAX} bytes", hint="use download")

        self._fetch(file, write, content.clear)
        return bytes(content)

    def download(self, file: File | ModelFile, path: str | Path) -> Path:
        """The content of a file of the service's, in ``path``; a download that fails leaves nothing there."""
        target = Path(path)
        with replacing(target) as out:
            self._fetch(file, out.write, lambda: _empty(out))
        return target

    def recognize(
        self,
        endpoint_id: Thing | None,
        wav: bytes | Path,
        *,
        language: str,
        format: str = "detailed",
        profanity: str | None = None,
    ) -> RecognitionResult:
        """What a WAV file of at most 60 s says, heard through an endpoint; without one, by the base model."""
        cid = id_of_thing(endpoint_id) if endpoint_id is not None else None
        return recognize(self._transport, cid, wav, language=language, format=format, profanity=profanity)

    def _fetch(self, file: File | ModelFile, write: Any, restart: Any) -> None:
        link = _content_url(file)
        try:
            self._transport.fetch(link, write, restart=restart)
        except PermissionDeniedError as error:
            own = file.self_ if isinstance(file, File) else None
            fresh = self._fresh(own) if own else None
            if fresh is None or fresh == link:
                raise PermissionDeniedError(
                    f"the storage refused {file.name}: {error.message}",
                    status=error.status,
                    hint="a link expires after some hours: list the files again; a resource with storage of its own (BYOS) "
                    "gives links that only an identity with access to that storage can read",
                ) from None
            self._transport.fetch(fresh, write, restart=restart)

    def _fresh(self, own: str) -> str | None:
        """The link of a file, made anew: the one at hand has expired."""
        path = self._transport.own_path(own).partition("?")[0]
        fresh = File.model_validate(self._transport.call("GET", path).object())
        return fresh.links.content_url if fresh.links else None

    def _job(self, entity: Any) -> Job[Any]:
        if isinstance(entity, Operation):
            return Job(entity, lambda: self.models.poll_copy(entity.id))
        resources: tuple[Resource[Any], ...] = (
            self.projects,
            self.datasets,
            self.models,
            self.evaluations,
            self.endpoints,
            self.transcriptions,
            self.webhooks,
        )
        home = next((resource for resource in resources if isinstance(entity, resource.record)), None)
        if home is None:
            raise ServiceError(f"a {type(entity).__name__} is nothing to wait for")
        return Job(entity, lambda: home.poll(entity.id))


def _content_url(file: File | ModelFile) -> str:
    link = file.content_url if isinstance(file, ModelFile) else file.links.content_url if file.links else None
    if not link:
        raise ServiceError(f"the service gave no link to the content of {file.name}")
    return link


def _empty(out: BinaryIO) -> None:
    out.seek(0)
    out.truncate()
