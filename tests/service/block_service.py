"""The part of the service that takes data sets in blocks, as small as it can be and no smaller."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

from tests.service.scripted import Reply, Request, ScriptedServer


class BlockService:
    """Answers for data sets. Keeps no content, only sizes and hashes, so that its memory tells nothing about the client's.

    ``fault`` may answer instead, after the work is done where it says so by being asked.
    """

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.datasets: list[dict[str, Any]] = []
        self.uncommitted: dict[str, dict[str, tuple[int, str]]] = {}
        self.committed: dict[str, list[str]] = {}
        self.puts: list[str] = []
        self.made = 0
        self.fault: Callable[[Request], Reply | None] = lambda request: None
        self.import_ends_as = "Succeeded"
        self._lock = threading.Lock()
        server.handler = self.handle

    def handle(self, request: Request) -> Reply:
        reply = self.fault(request)
        if reply is not None:
            return reply
        with self._lock:
            return self._answer(request)

    def _answer(self, request: Request) -> Reply:
        parts = request.path.split("/")[3:]
        if not parts:
            return self._create(request) if request.method == "POST" else self._list(request)
        dataset = next((one for one in self.datasets if one["self"].endswith(f"/{parts[0]}?api-version=2025-10-15")), None)
        if dataset is None:
            return Reply(204 if request.method == "DELETE" else 404)
        if len(parts) == 1:
            return self._entity(request, dataset)
        return self._blocks(request, parts[0], parts[1], dataset)

    def _create(self, request: Request) -> Reply:
        number = self.made
        self.made += 1
        own = self.server.api(f"/datasets/id-{number}")
        links = {} if "contentUrl" in request.json() else {"uploadBlocks": own.replace("?", "/blocks?")}
        created = f"2026-03-01T12:00:{number:02d}Z"
        dataset = {**request.json(), "self": own, "status": "NotStarted", "createdDateTime": created, "links": links}
        self.datasets.append(dataset)
        return Reply(201, dataset)

    def _list(self, request: Request) -> Reply:
        return Reply(200, {"values": [one for one in self.datasets if matches(one, request.query.get("filter", ""))]})

    def _entity(self, request: Request, dataset: dict[str, Any]) -> Reply:
        if request.method == "DELETE":
            self.datasets.remove(dataset)
            return Reply(204)
        if request.method == "PATCH":
            dataset.update(request.json())
        return Reply(200, dataset)

    def _blocks(self, request: Request, id: str, action: str, dataset: dict[str, Any]) -> Reply:
        blocks = self.uncommitted.setdefault(id, {})
        if request.method == "PUT":
            blocks[request.query["blockid"]] = (len(request.body), hashlib.sha256(request.body).hexdigest())
            self.puts.append(request.query["blockid"])
            return Reply(201)
        if request.method == "GET":
            listed = [{"name": name, "size": size} for name, (size, _) in blocks.items()]
            done = [{"name": name, "size": 1} for name in self.committed.get(id, [])]
            return Reply(200, {"uncommittedBlocks": listed, "committedBlocks": done})
        if dataset["status"] != "NotStarted":
            return Reply(409, {"code": "Conflict", "message": "committed already"})
        self.committed[id] = [entry["id"] for entry in request.json()]
        dataset["status"] = self.import_ends_as
        return Reply(200)


def matches(entity: dict[str, Any], expression: str) -> bool:
    """Whether an entity fits an expression of ``eq`` joined by ``and``."""
    for condition in expression.split(" and ") if expression else []:
        name, _, value = condition.split(" ", 2)
        if entity.get(name) != value[1:-1].replace("''", "'"):
            return False
    return True
