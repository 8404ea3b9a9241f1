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
from speech_mlflow.emulator.quotas import TIERS, Concurrency, RateLimiter
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
        self.jobs.start()
        self.hooks.start()

    def stop(self, seconds: float = 5) -> None:
        """Stop working; what is not done goes on at the next start."""
        self.jobs.gate.stop()
        self.hooks.stop()
        self.models.close()
        self.jobs.stop(seconds)
        self.store.close()

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
        """Remove an entity and its contents."""
        with self.store.transaction():
            garbage = self.store.delete(record)
            self.hooks.owe(record, "Deletion")
        self.blobs.delete(garbage)
        self.hooks.wake()

    def drop_model_directory(self, record: Record) -> None:
        """Remove the files of a model that was deleted."""
        if "directory" in record.body:
            shutil.rmtree(self.options.state_dir / record.body["directory"], ignore_errors=True)

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
