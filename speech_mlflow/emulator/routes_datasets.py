"""Data sets: made from a URL or from blocks, then imported."""

from __future__ import annotations

import base64
import binascii

from speech_mlflow.emulator.payloads import CommitEntry, DatasetCreate, changes, parse, parse_block_list
from speech_mlflow.emulator.problems import conflict, invalid
from speech_mlflow.emulator.routing import (
    JSON,
    MERGE_PATCH,
    OCTETS,
    Answer,
    Call,
    Route,
    created,
    find,
    get,
    get_file,
    known_locale,
    list_files,
    listing,
    must_be_done,
    patch,
    refer_project,
)
from speech_mlflow.emulator.store import Block, Record

KINDS = ("Language", "Acoustic", "Pronunciation", "AudioFiles", "LanguageMarkdown", "OutputFormatting")
MAX_BLOCK_ID_BYTES = 64


def locales(call: Call) -> Answer:
    """GET /datasets/locales: for each kind the locales that it can be in."""
    known = call.core.models.base_models()
    usable = {kind: sorted({m.spec.locale for m in known if kind in m.spec.adapts_with or kind in _TESTING}) for kind in KINDS}
    return Answer(200, {kind: found for kind, found in usable.items() if found})


_TESTING = ("Acoustic", "AudioFiles")
"""Kinds that serve for testing even where no model learns from them."""


def create(call: Call) -> Answer:
    """POST /datasets: with ``contentUrl`` the import begins, without it blocks are awaited."""
    wanted = parse(DatasetCreate, call.body)
    core = call.core
    locale = known_locale(call, wanted.locale)
    normalization = wanted.properties.textNormalizationKind if wanted.properties else None
    body = {
        **changes(wanted),
        "locale": locale,
        "kind": wanted.kind,
        "contentUrl": wanted.contentUrl,
        "blocks": True if wanted.contentUrl is None else None,
        "textNormalizationKind": normalization or "Default",
        "project": refer_project(call, wanted.project, locale),
    }
    with core.store.transaction():
        core.quotas.check_count("datasets", core.store.count("datasets"))
        record = core.create("datasets", body, action="import" if wanted.contentUrl else None)
    if wanted.contentUrl:
        core.begin("import", record)
    else:
        core.hooks.wake()
    return created(call, record)


def delete(call: Call) -> Answer:
    """DELETE /datasets/{id}."""
    core = call.core
    with core.store.transaction():
        record = core.store.get("datasets", call.id)
        if record is None:
            return Answer(204)
        if not (record.status == "NotStarted" and record.body.get("blocks") and not record.body.get("committed")):
            must_be_done(record)
        _not_in_use(call, record)
        core.delete(record)
    return Answer(204)


def _not_in_use(call: Call, record: Record) -> None:
    for kind in ("models", "evaluations", "transcriptions"):
        for user in call.core.store.entities(kind):
            used = [user.body.get("dataset"), *user.body.get("datasets", ())]
            if not user.terminal and record.path in used:
                raise conflict("InUseViolation", f"The dataset is in use by {user.path}, whose status is {user.status}.")


# blocks


def blocks_of(call: Call) -> Record:
    """The data set, which must be waiting for blocks. Raises Problem 404 or 409."""
    record = find(call, "datasets")
    if not record.body.get("blocks"):
        raise conflict("InvalidDataset", "The dataset was created with contentUrl and takes no blocks.")
    return record


def awaiting(call: Call) -> Record:
    """The data set, whose blocks must not be committed yet."""
    record = blocks_of(call)
    if record.body.get("committed"):
        raise conflict("InvalidDataset", "The blocks of the dataset are committed already.")
    return record


def check_block_id(call: Call) -> str:
    """``blockid``: base64 of 64 bytes or fewer, all of one length in a data set. Raises Problem 400."""
    name = call.query.get("blockid")
    if not name:
        raise invalid("InvalidParameter", "The parameter blockid is required.", "blockid")
    try:
        length = len(base64.b64decode(name, validate=True))
    except (binascii.Error, ValueError):
        length = 0
    if not 1 <= length <= MAX_BLOCK_ID_BYTES:
        raise invalid("InvalidParameter", f"blockid must be base64 of 1 to {MAX_BLOCK_ID_BYTES} bytes.", "blockid")
    present = call.core.store.blocks(call.id)
    if present and len(base64.b64decode(present[0].name)) != length:
        raise invalid("InvalidParameter", "All block ids of a dataset must have the same length.", "blockid")
    return name


def check_block(call: Call) -> str:
    """Check everything about a block but its content; returns its id."""
    awaiting(call)
    return check_block_id(call)


def put_block(call: Call) -> Answer:
    """PUT /datasets/{id}/blocks: remember the block."""
    core, (blob, size) = call.core, call.stored
    with core.store.transaction():
        replaced = core.store.put_block(call.id, check_block(call), blob, size)
    if replaced:
        core.blobs.delete([replaced])
    return Answer(201)


def list_blocks(call: Call) -> Answer:
    """GET /datasets/{id}/blocks."""
    blocks = call.core.store.blocks(blocks_of(call).id)
    return Answer(
        200,
        {
            "committedBlocks": [{"name": b.name.partition("#")[0], "size": b.size} for b in blocks if b.committed],
            "uncommittedBlocks": [{"name": b.name, "size": b.size} for b in blocks if not b.committed],
        },
    )


def commit(call: Call) -> Answer:
    """POST /datasets/{id}/blocks:commit: the content is the blocks in this order; the import begins."""
    entries = parse_block_list(call.body)
    core = call.core
    with core.store.transaction():
        record = blocks_of(call)
        chosen = _choose(core.store.blocks(record.id), entries)
        if record.body.get("committed"):
            if [block.name.partition("#")[0] for block in chosen] == record.body["committed"]:
                return Answer(200)  # the same list again: the first answer may have been lost
            raise conflict("InvalidDataset", "The blocks of the dataset are committed already.")
        if not chosen:
            raise invalid("InvalidPayload", "The block list is empty.", "$")
        garbage = core.store.commit_blocks(record.id, chosen)
        record = core.store.update(record, {"committed": [block.name for block in chosen]})
        core.store.add_job("import", record)
    core.blobs.delete(garbage)
    core.begin("import", record)
    return Answer(200)


def _choose(present: list[Block], entries: list[CommitEntry]) -> list[Block]:
    committed = {block.name.partition("#")[0]: block for block in present if block.committed}
    uncommitted = {block.name: block for block in present if not block.committed}
    lists = {"Committed": (committed,), "Uncommitted": (uncommitted,), "Latest": (uncommitted, committed)}
    chosen: list[Block] = []
    for place, entry in enumerate(entries):
        found = next((blocks[entry.id] for blocks in lists[entry.kind] if entry.id in blocks), None)
        if found is None:
            raise invalid("InvalidPayload", f"There is no block {entry.id!r} of kind {entry.kind}.", f"$[{place}].id")
        chosen.append(found)
    return chosen


ROUTES = (
    Route("GET", "/datasets/locales", "Datasets_ListSupportedLocales", locales),
    Route("GET", "/datasets", "Datasets_List", listing("datasets")),
    Route("POST", "/datasets", "Datasets_Create", create, (JSON,)),
    Route("POST", "/datasets/{id}/blocks:commit", "Datasets_CommitBlocks", commit, (JSON,)),
    Route("GET", "/datasets/{id}/blocks", "Datasets_GetBlocks", list_blocks),
    Route("PUT", "/datasets/{id}/blocks", "Datasets_UploadBlock", put_block, (OCTETS,), check_block),
    Route("GET", "/datasets/{id}/files", "Datasets_ListFiles", list_files("datasets")),
    Route("GET", "/datasets/{id}/files/{file}", "Datasets_GetFile", get_file("datasets")),
    Route("GET", "/datasets/{id}", "Datasets_Get", get("datasets")),
    Route("PATCH", "/datasets/{id}", "Datasets_Update", patch("datasets"), (JSON, MERGE_PATCH)),
    Route("DELETE", "/datasets/{id}", "Datasets_Delete", delete),
)
