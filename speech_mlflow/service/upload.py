"""Data into the service: local files in blocks, or by URL; the same content never twice.

A data set carries the fingerprint of its content in its displayName, which the service can filter by, and in its
customProperties, which prove it. So whoever has the same content finds the data set, from whatever machine, and an upload that
was interrupted is taken up where it stopped: the service is asked which blocks it has, and block ids carry the blocks' hashes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from pydantic import SecretStr

from speech_mlflow.errors import ConflictError, DataError, OperationFailedError, SettingsError
from speech_mlflow.progress import Progress, ProgressEvent, silent
from speech_mlflow.service import filters
from speech_mlflow.service.client import SpeechClient
from speech_mlflow.service.entities import Dataset, by_age
from speech_mlflow.service.resource import CREATE_ID, Thing
from speech_mlflow.service.transport import Body

BLOCK = 8 * 2**20  # bytes: the most that the service takes, and so the fewest requests
WORKERS = 4
FAREWELL = 2.0  # seconds that an interrupted upload waits for its workers
FINGERPRINT = "fingerprint"
MANAGED_BY = {"managed-by": "speech-mlflow"}
NAME_DIGITS = 12  # of the fingerprint, in the displayName


def upload_dataset(
    client: SpeechClient,
    path: str | Path,
    *,
    kind: str,
    locale: str,
    display_name: str,
    fingerprint: str,
    description: str | None = None,
    project: Thing | None = None,
    custom_properties: Mapping[str, str] | None = None,
    text_normalization_kind: str | None = None,
    wait: bool = True,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The data set with the content of the file ``path``: found, or uploaded and, with ``wait``, imported.

    ``fingerprint`` identifies the content, whatever file it is in. Memory use does not depend on the file's size. Raises
    `DataError` where the file is empty or changes meanwhile, `OperationFailedError` where this content was refused before.
    """
    file = Path(path)
    dataset = find_dataset(client, kind=kind, locale=locale, display_name=display_name, fingerprint=fingerprint)
    if dataset is None:
        _size(file)  # before anything is made
        dataset = _create(
            client,
            fingerprint,
            kind=kind,
            locale=locale,
            display_name=display_name,
            description=description,
            project=project,
            custom_properties=custom_properties,
            text_normalization_kind=text_normalization_kind,
        )
    else:
        dataset = in_project(client, dataset, project)
    there = _blocks_if_awaited(client, dataset)
    if there is not None:
        put_blocks(client, dataset, file, there, progress=progress)
    return client.wait(dataset, timeout=timeout, progress=progress) if wait else client.datasets.get(dataset)


def import_dataset(
    client: SpeechClient,
    content_url: str | SecretStr,
    *,
    kind: str,
    locale: str,
    display_name: str,
    fingerprint: str | None = None,
    description: str | None = None,
    project: Thing | None = None,
    custom_properties: Mapping[str, str] | None = None,
    text_normalization_kind: str | None = None,
    wait: bool = True,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The data set with the content that the service itself reads from ``content_url``.

    That is a blob with a SAS, a public file, or a plain blob URL that the resource's managed identity may read. The content
    is not seen here: only with a ``fingerprint`` can a data set with the same content be found instead. One that failed is no
    obstacle: the URL may have been at fault (expired, not to be read), and not the content.
    """
    dataset = None
    if fingerprint:
        dataset = find_dataset(
            client, kind=kind, locale=locale, display_name=display_name, fingerprint=fingerprint, failed_count=False
        )
    if dataset is None or _takes_blocks(dataset):  # which nobody may ever send
        dataset = _create(
            client,
            fingerprint,
            kind=kind,
            locale=locale,
            display_name=display_name,
            description=description,
            project=project,
            custom_properties=custom_properties,
            text_normalization_kind=text_normalization_kind,
            content_url=content_url,
        )
    else:
        dataset = in_project(client, dataset, project)
    return client.wait(dataset, timeout=timeout, progress=progress) if wait else dataset


def find_dataset(
    client: SpeechClient, *, kind: str, locale: str, display_name: str, fingerprint: str, failed_count: bool = True
) -> Dataset | None:
    """The oldest data set with that content, whatever its name: of those that are imported, else of those that are on their way.
    Raises `OperationFailedError` where all have failed, unless those do not count."""
    by_name = filters.eq("displayName", name_with(display_name, fingerprint))
    same_sort = filters.eq("locale", locale) & filters.eq("kind", kind)
    found: list[Dataset] = []
    for condition in (by_name, same_sort):  # one request for most; all of its sort only before an upload
        found = _matching(client, condition, kind, locale, fingerprint)
        imported = [one for one in found if one.status == "Succeeded"]
        if imported:
            return min(imported, key=by_age)
    usable = [one for one in found if one.status != "Failed"]
    if found and not usable and failed_count:
        raise _refused_before(min(found, key=by_age))
    return min(usable, key=by_age, default=None)


def in_project(client: SpeechClient, dataset: Dataset, project: Thing | None) -> Dataset:
    """A data set that was found, put into ``project`` where it is in none."""
    if project is None or dataset.project is not None:
        return dataset
    return client.datasets.update(dataset, project=project)


def name_with(display_name: str, fingerprint: str) -> str:
    """The displayName of a data set with that content."""
    return f"{display_name} [{fingerprint[:NAME_DIGITS]}]"


def put_blocks(
    client: SpeechClient,
    dataset: Dataset,
    path: Path,
    there: Mapping[str | None, int | None],
    *,
    progress: Progress | None = None,
) -> None:
    """Send the file's blocks that are not ``there`` (sizes by block id), several at once, and commit them all."""
    size = _size(path)
    before = path.stat()
    upload = _Upload(client, dataset, path, size, there, progress or silent)
    block_ids = upload.run()
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataError(f"{path} changed while it was uploaded", hint="upload it again when nobody writes to it")
    try:
        client.datasets.commit_blocks(dataset, block_ids)
    except ConflictError:
        # somebody with the same content was faster, which is just as well
        if client.datasets.get(dataset).status == "NotStarted":
            raise


class _Upload:
    """One upload on its way: workers take block after block, each with one buffer of its own."""

    def __init__(
        self,
        client: SpeechClient,
        dataset: Dataset,
        path: Path,
        size: int,
        there: Mapping[str | None, int | None],
        report: Progress,
    ) -> None:
        self._client = client
        self._dataset = dataset
        self._path = path
        self._size = size
        self._there = there
        self._report = report
        self._sent = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._starts = iter(range(0, size, BLOCK))
        self._ids: dict[int, str] = {}
        self._errors: list[BaseException] = []

    def run(self) -> list[str]:
        """The ids of all blocks in their order, when all have arrived."""
        count = min(WORKERS, -(-self._size // BLOCK))
        # daemons: who pauses before trying again, or hears nothing from the service, keeps nobody from leaving
        workers = [threading.Thread(target=self._work, name=f"upload-{number}", daemon=True) for number in range(count)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        except BaseException:  # an interrupt ends the blocks that are on their way, too
            self._stopped.set()
            for worker in workers:
                worker.join(FAREWELL / count)
            raise
        if self._errors:
            raise next((error for error in self._errors if not isinstance(error, _StopUpload)), self._errors[0])
        return [self._ids[start] for start in sorted(self._ids)]

    def _work(self) -> None:
        try:
            buffer = memoryview(bytearray(min(BLOCK, self._size)))
            with self._path.open("rb", buffering=0) as file:
                for start in self._next_starts():
                    self._block(start, _fill(file, start, buffer, self._path, self._size))
        except BaseException as error:
            self._stopped.set()
            self._errors.append(error)

    def _next_starts(self) -> Iterator[int]:
        while not self._stopped.is_set():
            with self._lock:
                start = next(self._starts, None)
            if start is None:
                return
            yield start

    def _block(self, start: int, content: memoryview) -> None:
        block_id = block_id_of(start // BLOCK, content)
        if self._there.get(block_id) == len(content):
            self._count(len(content))
        else:
            sent = 0

            def before_slice(at: int, length: int) -> None:
                nonlocal sent
                if self._stopped.is_set():
                    raise _StopUpload
                again = sent if at == 0 else 0  # what is sent again was no progress
                sent += length - again
                self._count(length - again)

            self._client.datasets.put_block(self._dataset, block_id, Body(content, before_slice))
        with self._lock:
            self._ids[start] = block_id

    def _count(self, length: int) -> None:
        with self._lock:
            self._sent += length
            event = ProgressEvent(f"upload {self._path.name}", self._sent, self._size, "bytes")
            self._report(event)


class _StopUpload(Exception):
    """Another block failed, or the user wants to stop."""


def block_id_of(index: int, content: bytes | memoryview) -> str:
    """The id of a block: its place and the hash of its content, so that the service's list says what need not be sent.

    All ids have the same length; before base64 it is 41 bytes of the 64 that are allowed.
    """
    digest = hashlib.sha256(content).hexdigest()[:32]
    return base64.b64encode(f"{index:08d}-{digest}".encode()).decode()


def _fill(file: BinaryIO, start: int, buffer: memoryview, path: Path, size: int) -> memoryview:
    """The block at ``start``, read into ``buffer``."""
    wanted = min(len(buffer), size - start)
    file.seek(start)
    got = 0
    while got < wanted:
        count = file.readinto(buffer[got:wanted])  # type: ignore[attr-defined]
        if not count:
            raise DataError(f"{path} became shorter while it was uploaded")
        got += count
    return buffer[:wanted]


def _create(
    client: SpeechClient,
    fingerprint: str | None,
    *,
    kind: str,
    locale: str,
    display_name: str,
    description: str | None,
    project: Thing | None,
    custom_properties: Mapping[str, str] | None,
    text_normalization_kind: str | None,
    content_url: str | SecretStr | None = None,
) -> Dataset:
    """Make the data set; of two made at the same moment for the same content, the older one stays."""
    mark = {FINGERPRINT: fingerprint} if fingerprint else {}
    made = client.datasets.create(
        kind=kind,
        locale=locale,
        display_name=name_with(display_name, fingerprint) if fingerprint else display_name,
        description=description,
        project=project,
        custom_properties={**MANAGED_BY, **(custom_properties or {}), **mark},
        text_normalization_kind=text_normalization_kind,
        content_url=content_url,
    )
    if not fingerprint:
        return made
    same_name = filters.eq("displayName", name_with(display_name, fingerprint))
    there = [
        one
        for one in _matching(client, same_name, kind, locale, fingerprint)
        if one.status != "Failed" and not (content_url and _takes_blocks(one))
    ]
    oldest = min([*there, made], key=by_age)
    create_id = (made.custom_properties or {}).get(CREATE_ID)
    for other in {one.id: one for one in [*there, made]}.values():
        ours = create_id is not None and (other.custom_properties or {}).get(CREATE_ID) == create_id
        if ours and other.id != oldest.id and client.datasets.get(other).status == "NotStarted":
            client.datasets.delete(other)  # made by this very call, twice or a moment too late, and still empty
    return oldest


def _matching(client: SpeechClient, condition: str, kind: str, locale: str, fingerprint: str) -> list[Dataset]:
    return [one for one in client.datasets.list(condition) if _is(one, kind, locale, fingerprint)]


def _blocks_if_awaited(client: SpeechClient, dataset: Dataset) -> dict[str | None, int | None] | None:
    """The sizes of the blocks that have arrived, where the data set waits for more; None where it does not."""
    if not _takes_blocks(dataset):
        return None
    blocks = client.datasets.blocks(dataset)
    return None if blocks.committed_blocks else {block.name: block.size for block in blocks.uncommitted_blocks}


def _takes_blocks(dataset: Dataset) -> bool:
    by_blocks = dataset.links is not None and dataset.links.upload_blocks is not None
    return dataset.status == "NotStarted" and not dataset.content_url and by_blocks


def _is(dataset: Dataset, kind: str, locale: str, fingerprint: str) -> bool:
    proof = (dataset.custom_properties or {}).get(FINGERPRINT)
    return (dataset.kind, (dataset.locale or "").lower(), proof) == (kind, locale.lower(), fingerprint)


def _refused_before(dataset: Dataset) -> OperationFailedError:
    error = dataset.error
    return OperationFailedError(
        f"the service has refused this content before, in data set {dataset.id}: "
        f"{error.message if error and error.message else 'it gives no reason'}",
        entity=dataset,
        code=error.code if error else None,
        hint="mend the data; to let the same content be tried again, delete that data set",
    )


def _size(path: Path) -> int:
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if not size:
        raise DataError(f"{path} is empty, and the service takes no empty data set")
    if not path.is_file():
        raise SettingsError(f"{path} is not a file", hint="write the corpus to an upload file first")
    return size
