"""What the offline service remembers: entities, files, blocks, pending jobs, transcripts. SQLite; knows no HTTP.

Every change is a transaction: an entity and the job that will work on it appear together, a job's result and its end too,
so a process killed at any moment leaves either the old state or the new one. An entity keeps the API's own property names
in ``body``; references to other entities are paths such as ``models/base/<id>``, so the host a client uses may change.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speech_mlflow.errors import EmulatorError

NOT_STARTED, RUNNING, SUCCEEDED, FAILED = "NotStarted", "Running", "Succeeded", "Failed"
TERMINAL = (SUCCEEDED, FAILED)
SCHEMA_VERSION = "1"

_SCHEMA = """ CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL); CREATE TABLE IF NOT EXISTS
entities ( seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL UNIQUE, status TEXT, created TEXT NOT
NULL, last_action TEXT NOT NULL, body TEXT NOT NULL); CREATE INDEX IF NOT EXISTS entities_by_kind ON entities (kind, seq);
CREATE TABLE IF NOT EXISTS files ( seq INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, id TEXT NOT NULL UNIQUE, name
TEXT NOT NULL, kind TEXT NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL, milliseconds INTEGER, created TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS files_by_owner ON files (owner, seq); CREATE TABLE IF NOT EXISTS blocks ( dataset TEXT NOT NULL,
name TEXT NOT NULL, committed INTEGER NOT NULL, place INTEGER NOT NULL DEFAULT 0, blob TEXT NOT NULL, size INTEGER NOT NULL,
PRIMARY KEY (dataset, name, committed)); CREATE TABLE IF NOT EXISTS jobs (seq INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT
NOT NULL, entity TEXT NOT NULL UNIQUE); CREATE TABLE IF NOT EXISTS transcripts (model TEXT NOT NULL, audio TEXT NOT NULL,
result TEXT NOT NULL, PRIMARY KEY (model, audio)); CREATE TABLE IF NOT EXISTS events ( seq INTEGER PRIMARY KEY
AUTOINCREMENT, hook TEXT NOT NULL, event TEXT NOT NULL, entity TEXT NOT NULL, due REAL NOT NULL, tries INTEGER NOT NULL
DEFAULT 0, detail TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Record:
    """One entity. ``kind`` is its collection (``datasets``, ``models``, ...); ``status`` is None for kinds without one."""

    kind: str
    id: str
    status: str | None
    created: datetime.datetime
    last_action: datetime.datetime
    body: Mapping[str, Any]
    seq: int = 0

    @property
    def terminal(self) -> bool:
        """Whether no work is going on."""
        return self.status is None or self.status in TERMINAL

    @property
    def path(self) -> str:
        """``kind/id``, the form of a reference."""
        return f"{self.kind}/{self.id}"


@dataclass(frozen=True)
class FileRecord:
    """A file of an entity; ``blob`` is its content's name, ``milliseconds`` its length when it is audio."""

    owner: str
    id: str
    name: str
    kind: str
    blob: str
    size: int
    created: datetime.datetime
    milliseconds: int | None = None
    seq: int = 0


@dataclass(frozen=True)
class NewFile:
    """A file that a job made and that becomes part of an entity when the job ends."""

    name: str
    kind: str
    blob: str
    size: int
    milliseconds: int | None = None


@dataclass(frozen=True)
class Block:
    """One uploaded block of a data set."""

    name: str
    committed: bool
    blob: str
    size: int


@dataclass(frozen=True)
class Job:
    """Work that is owed to an entity; it exists until the work is done."""

    action: str
    entity: str
    seq: int = 0


@dataclass(frozen=True)
class Event:
    """A web hook call that is owed."""

    hook: str
    event: str
    entity: str
    tries: int
    detail: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def _record(row: sqlite3.Row) -> Record:
    return Record(
        row["kind"],
        row["id"],
        row["status"],
        _time(row["created"]),
        _time(row["last_action"]),
        json.loads(row["body"]),
        row["seq"],
    )


def _file(row: sqlite3.Row) -> FileRecord:
    return FileRecord(
        row["owner"],
        row["id"],
        row["name"],
        row["kind"],
        row["blob"],
        row["size"],
        _time(row["created"]),
        row["milliseconds"],
        row["seq"],
    )


class Store:
    """The database of one state directory. Safe to use from several threads; one process at a time.

    Raises EmulatorError for a file that is not such a database.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._after_commit: list[Callable[[], object]] = []
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.row_factory = sqlite3.Row
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            if self.meta("schema", SCHEMA_VERSION) != SCHEMA_VERSION:
                raise sqlite3.DatabaseError("it was written by another version of the offline service")
        except sqlite3.DatabaseError as error:
            self._db.close()
            hint = "choose another directory, or remove this one to begin anew"
            raise EmulatorError(f"the state in {path} cannot be used: {error}", hint=hint) from None

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing for what happens inside; may be nested, the outermost decides."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                if self._depth == 1:
                    self._db.execute("COMMIT")
            except BaseException:
                if self._depth == 1:
                    self._after_commit.clear()
                    if self._db.in_transaction:  # a full disk may have ended it already
                        self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1
            if self._depth > 0:
                return
            due, self._after_commit = self._after_commit, []
        for call in due:
            call()

    def after_commit(self, call: Callable[[], object]) -> None:
        """Call this once the transaction that is open is committed, never if it fails: for what cannot be undone."""
        self._after_commit.append(call)

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _run(self, query: str, *values: Any) -> int:
        with self._lock:
            return self._db.execute(query, values).rowcount

    # meta

    def meta(self, name: str, default: str) -> str:
        """A remembered word, set to ``default`` on first use."""
        with self.transaction():
            self._run("INSERT OR IGNORE INTO meta VALUES (?, ?)", name, default)
            return str(self._rows("SELECT value FROM meta WHERE name = ?", name)[0][0])

    # entities

    def insert(
        self,
        kind: str,
        body: Mapping[str, Any],
        *,
        now: datetime.datetime,
        status: str | None = NOT_STARTED,
    ) -> Record:
        """Add an entity."""
        id = str(uuid.uuid4())
        with self.transaction():
            self._run(
                "INSERT INTO entities (kind, id, status, created, last_action, body) VALUES (?, ?, ?, ?, ?, ?)",
                kind,
                id,
                status,
                now.isoformat(),
                now.isoformat(),
                json.dumps(body),
            )
            return self.get(kind, id)  # type: ignore[return-value]

    def get(self, kind: str, id: str) -> Record | None:
        """The entity, or None."""
        rows = self._rows("SELECT * FROM entities WHERE kind = ? AND id = ?", kind, id)
        return _record(rows[0]) if rows else None

    def entities(self, kind: str) -> list[Record]:
        """All entities of a kind, oldest first."""
        return [_record(row) for row in self._rows("SELECT * FROM entities WHERE kind = ? ORDER BY seq", kind)]

    def count(self, kind: str) -> int:
        """How many entities of a kind there are."""
        return int(self._rows("SELECT count(*) FROM entities WHERE kind = ?", kind)[0][0])

    def update(
        self,
        record: Record,
        body: Mapping[str, Any] | None = None,
        *,
        status: str | None = None,
        now: datetime.datetime | None = None,
    ) -> Record:
        """Change properties (None removes one) and, with ``status`` and ``now``, the state."""
        with self.transaction():
            current = self.get(record.kind, record.id)
            if current is None:
                raise KeyError(record.path)
            merged = {**current.body, **(body or {})}
            kept = {name: value for name, value in merged.items() if value is not None}
            moment = now or current.last_action
            self._run(
                "UPDATE entities SET body = ?, status = ?, last_action = ? WHERE id = ?",
                json.dumps(kept),
                status or current.status,
                moment.isoformat(),
                record.id,
            )
            return self.get(record.kind, record.id)  # type: ignore[return-value]

    def delete(self, record: Record) -> list[str]:
        """Remove an entity with its files and blocks; returns the blobs that nothing refers to any more."""
        with self.transaction():
            blobs = [row[0] for row in self._rows("SELECT blob FROM files WHERE owner = ?", record.path)]
            blobs += [row[0] for row in self._rows("SELECT blob FROM blocks WHERE dataset = ?", record.id)]
            self._run("DELETE FROM files WHERE owner = ?", record.path)
            self._run("DELETE FROM blocks WHERE dataset = ?", record.id)
            self._run("DELETE FROM jobs WHERE entity = ?", record.path)
            self._run("DELETE FROM entities WHERE id = ?", record.id)
            if record.kind == "models":
                self._run("DELETE FROM transcripts WHERE model LIKE ?", f"{record.path}@%")
            return [blob for blob in blobs if not self._rows("SELECT 1 FROM files WHERE blob = ? LIMIT 1", blob)]

    # files

    def add_files(self, owner: Record, files: Iterable[NewFile], now: datetime.datetime) -> None:
        """Make files part of an entity."""
        with self.transaction():
            for file in files:
                self._run(
                    "INSERT INTO files (owner, id, name, kind, blob, size, milliseconds, created)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    owner.path,
                    str(uuid.uuid4()),
                    file.name,
                    file.kind,
                    file.blob,
                    file.size,
                    file.milliseconds,
                    now.isoformat(),
                )

    def files(self, owner: Record) -> list[FileRecord]:
        """Files of an entity in the order they were made."""
        return [_file(row) for row in self._rows("SELECT * FROM files WHERE owner = ? ORDER BY seq", owner.path)]

    def file(self, id: str) -> FileRecord | None:
        """One file by its id."""
        rows = self._rows("SELECT * FROM files WHERE id = ?", id)
        return _file(rows[0]) if rows else None

    # blocks

    def put_block(self, dataset: str, name: str, blob: str, size: int) -> str | None:
        """Remember an uncommitted block; returns the blob it replaces."""
        with self.transaction():
            rows = self._rows("SELECT blob FROM blocks WHERE dataset = ? AND name = ? AND committed = 0", dataset, name)
            self._run(
                "INSERT OR REPLACE INTO blocks (dataset, name, committed, blob, size) VALUES (?, ?, 0, ?, ?)",
                dataset,
                name,
                blob,
                size,
            )
            return str(rows[0][0]) if rows else None

    def blocks(self, dataset: str) -> list[Block]:
        """All blocks: committed ones in their order, then the others by name."""
        query = "SELECT * FROM blocks WHERE dataset = ? ORDER BY committed DESC, place, name"
        return [Block(row["name"], bool(row["committed"]), row["blob"], row["size"]) for row in self._rows(query, dataset)]

    def commit_blocks(self, dataset: str, chosen: Iterable[Block]) -> list[str]:
        """Make ``chosen`` the content, in this order; every other block goes. Returns the blobs that are not needed any
        more.
        """
        with self.transaction():
            before = {block.blob for block in self.blocks(dataset)}
            self._run("DELETE FROM blocks WHERE dataset = ?", dataset)
            used: set[str] = set()
            for place, block in enumerate(chosen):
                self._run(
                    "INSERT OR REPLACE INTO blocks (dataset, name, committed, place, blob, size) VALUES (?, ?, 1, ?, ?, ?)",
                    dataset,
                    f"{block.name}#{place}" if block.blob in used else block.name,
                    place,
                    block.blob,
                    block.size,
                )
                used.add(block.blob)
            return sorted(before - used)

    # jobs

    def add_job(self, action: str, record: Record) -> None:
        """Owe work to an entity; one job at a time for each."""
        self._run("INSERT INTO jobs (action, entity) VALUES (?, ?)", action, record.path)

    def end_job(self, record: Record) -> None:
        """The work is done."""
        self._run("DELETE FROM jobs WHERE entity = ?", record.path)

    def jobs(self) -> list[Job]:
        """All work that is owed, oldest first."""
        return [Job(row["action"], row["entity"], row["seq"]) for row in self._rows("SELECT * FROM jobs ORDER BY seq")]

    # transcripts

    def transcript(self, model: str, audio: str) -> Mapping[str, Any] | None:
        """What ``model`` heard in the recording with this digest, if it was ever asked."""
        rows = self._rows("SELECT result FROM transcripts WHERE model = ? AND audio = ?", model, audio)
        return json.loads(rows[0][0]) if rows else None

    def keep_transcript(self, model: str, audio: str, result: Mapping[str, Any]) -> None:
        """Remember what ``model`` heard."""
        self._run("INSERT OR REPLACE INTO transcripts VALUES (?, ?, ?)", model, audio, json.dumps(result))

    # events

    def add_event(self, hook: str, event: str, entity: str, due: float, detail: Mapping[str, Any]) -> None:
        """Owe a web hook call."""
        self._run(
            "INSERT INTO events (hook, event, entity, due, detail) VALUES (?, ?, ?, ?, ?)",
            hook,
            event,
            entity,
            due,
            json.dumps(detail),
        )

    def due_events(self, now: float) -> list[Event]:
        """Calls whose time has come."""
        rows = self._rows("SELECT * FROM events WHERE due <= ? ORDER BY seq", now)
        return [
            Event(row["hook"], row["event"], row["entity"], row["tries"], json.loads(row["detail"]), row["seq"]) for row in rows
        ]

    def delay_event(self, event: Event, due: float) -> None:
        """Try again later."""
        self._run("UPDATE events SET due = ?, tries = tries + 1 WHERE seq = ?", due, event.seq)

    def end_event(self, event: Event) -> None:
        """The call was made, or given up."""
        self._run("DELETE FROM events WHERE seq = ?", event.seq)

    def blob_names(self) -> set[str]:
        """Every blob that something refers to."""
        return {row[0] for row in self._rows("SELECT blob FROM files UNION SELECT blob FROM blocks")}
