"""The offline service without its HTTP: store, contents, models, jobs and web hooks, put together."""

from __future__ import annotations

import datetime
import secrets
import shutil
import uuid
from collections.abc import Mapping
from typing import Any

from speech_mlflow.emulator.blobs import Blobs
from speech_mlflow.emulator.jobs import JobRunner, StoppingError
from speech_mlflow.emulator.options import Options
from speech_mlflow.emulator.quotas import F0_ENDPOINT_DAYS, TIERS, Concurrency, RateLimiter
from speech_mlflow.emulator.recognition import Models
from speech_mlflow.emulator.serving import served_path
from speech_mlflow.emulator.store import Record, Store
from speech_mlflow.emulator.webhooks import WebHookSender

STORE_NAME = "service.db"


class Emulator:
    """One offline speech resource. ``start`` takes up interrupted work; ``stop`` ends workers and closes the store."""

    def __init__(self, options: Options) -> None:
        from speech_mlflow.emulator.actions import ACTIONS

        self.options = options
        options.state_dir.mkdir(parents=True, exist_ok=True)
        self.blobs = Blobs(options.state_dir)
        self.store = Store(options.state_dir / STORE_NAME)
        self.resource = self.store.meta("resource", f"offline-{secrets.token_hex(6)}")
        self.subscription = self.store.meta("subscription", str(uuid.uuid4()))
        self.signing_key = bytes.fromhex(self.store.meta("signing_key", secrets.token_hex(32)))
        self.quotas = TIERS[options.tier]
        self.rate = RateLimiter(options.rate_limit)
        self.concurrency = Concurrency(self.quotas.concurrent_requests)
        self.models = Models(options, self.store)
        self.hooks = WebHookSender(self)
        self.jobs = JobRunner(self, ACTIONS)

    @property
    def resource_id(self) -> str:
        """The id of this resource in the form that Azure gives resources."""
        return resource_id(self.subscription, self.resource)

    def now(self) -> datetime.datetime:
        """The time that the service goes by."""
        return self.options.clock()

    def start(self) -> None:
        """Take up what was interrupted and remove what it left behind."""
        kept = self.store.blob_names()
        self.blobs.delete([name for name in self.blobs.names() if name not in kept])
        for directory in self.options.state_dir.glob("models/*"):
            if self.store.get("models", directory.name) is None:
                shutil.rmtree(directory, ignore_errors=True)
        self.jobs.start()
        self.hooks.start()

    def stop(self, seconds: float = 5) -> None:
        """Stop working; what is not done goes on at the next start."""
        self.jobs.gate.stop()
        self.hooks.stop()
        self.models.close()
        self.jobs.stop(seconds)
        self.store.close()

    def get(self, kind: str, id: str) -> Record | None:
        """The entity, or None; one that has outlived its time is deleted."""
        record = self.store.get(kind, id)
        if record is not None and self._expired(record):
            self.delete(record)
            return None
        return record

    def entities(self, kind: str) -> list[Record]:
        """All entities of a kind, oldest first; those that have outlived their time are deleted."""
        records = self.store.entities(kind)
        expired = [record for record in records if self._expired(record)]
        for record in expired:
            self.delete(record)
        return [record for record in records if record not in expired] if expired else records

    def _expired(self, record: Record) -> bool:
        """A transcription lives for its ``timeToLiveHours``, an endpoint of the free tier for seven days."""
        if not record.terminal:
            return False
        if record.kind == "transcriptions" and not record.body.get("internal"):
            hours = record.body["settings"]["timeToLiveHours"]
            return self.now() >= record.last_action + datetime.timedelta(hours=hours)
        if record.kind == "endpoints" and self.options.tier == "F0":
            return self.now() >= record.created + datetime.timedelta(days=F0_ENDPOINT_DAYS)
        return False

    def create(
        self, kind: str, body: Mapping[str, Any], *, action: str | None = None, status: str | None = "NotStarted"
    ) -> Record:
        """Make an entity, with the job that works on it, in one transaction.

        The caller may hold a transaction of its own and then calls :meth:`begin` after it.
        """
        with self.store.transaction():
            record = self.store.insert(kind, {k: v for k, v in body.items() if v is not None}, now=self.now(), status=status)
            if action is not None:
                self.store.add_job(action, record)
            self.hooks.owe(record, "Creation")
        return record

    def begin(self, action: str, record: Record) -> None:
        """Start the job of a committed entity, and send the events that are due."""
        self.jobs.submit(action, record)
        self.hooks.wake()

    def delete(self, record: Record) -> None:
        """Remove an entity and, once that is committed, its contents."""
        with self.store.transaction():
            garbage = self.store.delete(record)
            self.hooks.owe(record, "Deletion")
            self.store.after_commit(lambda: self._discard(record, garbage))

    def _discard(self, record: Record, blobs: list[str]) -> None:
        self.blobs.delete(blobs)
        if "directory" in record.body:
            shutil.rmtree(self.options.state_dir / record.body["directory"], ignore_errors=True)
        self.hooks.wake()

    def transcriptions(self, record: Record) -> list[Record]:
        """The transcriptions that were made for an evaluation; none for anything else."""
        ids = (str(record.body.get(f"transcription{side}", "")).rpartition("/")[2] for side in "12")
        found = (self.store.get("transcriptions", id) for id in ids)
        return [transcription for transcription in found if transcription is not None]

    def served_path(self, endpoint: Record) -> str | None:
        """The model that an endpoint really uses."""
        return served_path(self, endpoint)

    def raise_when_stopping(self) -> None:
        """Raises StoppingError when the service goes down, so that what its end broke is not called a failure."""
        if self.jobs.gate.stopping:
            raise StoppingError


def resource_id(subscription: str, resource: str) -> str:
    """A resource id in Azure's form."""
    return (
        f"/subscriptions/{subscription}/resourceGroups/speech-mlflow/providers/Microsoft.CognitiveServices/accounts/{resource}"
    )
