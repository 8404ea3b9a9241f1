"""What each command prints under ``--json``: a contract. New names may be added; those here stay, and mean the same.

A list of objects is written as a list with the names of one object. ``ENTITY`` are the names that all entities of the service's API
have; the rest of an entity is as the API gives it.
"""

from __future__ import annotations

from typing import Any

ENTITY = ("id", "self", "displayName", "locale", "status", "createdDateTime", "lastActionDateTime")
PLAN = ("id", "registered_model", "target", "changes", "desired", "observed", "steps", "gates")
APPLIED = ("result", "reason", "version", "endpoint_id", "run_id", "seconds", "plan")
STATUS = ("run_id", "kind", "name", "registered_model", "model_id", "service_status", "age_seconds", "resumable", "next")

Names = tuple[str, ...]
CONTRACT: dict[str, Names | list[Names]] = {
    "demo": ("directory", "endpoint", "heard", "models", "seconds", "total_seconds", "mlflow_ui"),
    "init": ("written",),
    "run": ("pipeline", "resource", "run_id", "changed", "verdict", "exit_code", "steps", "measurements", "gates"),
    "data check": [("path", "kind", "locale", "fingerprint", "profile", "problems")],
    "data upload": (*ENTITY, "kind"),
    "data list": [(*ENTITY, "kind")],
    "data show": (*ENTITY, "kind", "files"),
    "train": ("run_id", "model_id", "status", "registered_model", "version", "logged_model_id", "reused"),
    "test": ("run_id", "evaluation_id", "done", "reused", "models", "evaluated", "failed_evaluators"),
    "compare": (
        "dataset",
        "digest",
        "locale",
        "normalizer",
        "utterances",
        "left_out",
        "best",
        "models",
        "comparisons",
        "groups",
    ),
    "evaluations list": [(*ENTITY, "model1", "model2", "dataset")],
    "evaluations show": (*ENTITY, "model1", "model2", "dataset"),
    "models list": [("name", "version", "stage", "aliases", "wer", "locale", "model_id", "endpoint_id", "served", "hold")],
    "models base": [ENTITY],
    "models best": [("label", "value", "model_id", "run_id", "tested_at", "versions")],
    "models diff": ("first", "second", "data_added", "data_removed", "changed", "wer"),
    "models expiring": [
        ("registered_model", "version", "stage", "expires", "days", "endpoint_id", "newer_base", "region", "state")
    ],
    "status": [STATUS],
    "wait": [("run_id", "kind", "name", "done", "service_status", "model_id", "registered_model", "version")],
    "import": [("kind", "id", "name", "created", "outcome", "reason", "run_id", "version")],
    "endpoints list": [(*ENTITY, "model", "serves")],
    "endpoints show": (*ENTITY, "model", "serves"),
    "lineage": ("focus", "nodes", "edges"),
    "promote": [APPLIED],
    "rollback": [APPLIED],
    "plan": [PLAN],
    "apply": [APPLIED],
    "watch": ("kind", "registered_model", "target", "reason", "version", "endpoint_id", "run_id", "id", "time", "data"),
    "history": [("run_id", "started", "seconds", "version", "previous_version", "target", "result", "reason", "who", "why")],
    "retire": [("kind", "id", "display_name", "registered_model", "reason", "kept", "deleted", "resource")],
    "transcribe": [("file", "status", "display", "lexical", "confidence")],
    "score": ("normalizer", "models", "comparisons"),
    "emulator status": ("running", "state"),
    "emulator stop": ("stopped",),
    "emulator coverage": [("kind", "name", "state", "note")],
    "doctor": ("healthy", "checks"),
    "plugins": [("name", "version", "hooks", "builtin", "error")],
    "config show": ("endpoint", "key", "locale", "tracking_uri", "experiment", "state_dir", "targets"),
    "config schema": ("$schema", "properties"),
    "completion": ("shell", "script"),
}

AFTER_THE_DEMO = {
    "data check": ["{clinic}/training/pronunciations.txt"],
    "data upload": ["{clinic}/training/pronunciations.txt"],
    "data list": [],
    "data show": ["{dataset}"],
    "test": ["{clinic}/testing", "--model", "base", "--model", "clinic-en-us/2"],
    "compare": ["clinic-en-us/1", "clinic-en-us/2"],
    "evaluations list": [],
    "evaluations show": ["{evaluation}"],
    "models list": [],
    "models base": [],
    "models best": ["testing"],
    "models diff": ["clinic-en-us/1", "clinic-en-us/2"],
    "models expiring": ["--within", "99999"],
    "status": [],
    "wait": ["clinic-en-us"],
    "import": ["--dry-run"],
    "endpoints list": [],
    "endpoints show": ["{endpoint}"],
    "lineage": ["clinic-en-us/1"],
    "promote": ["clinic-en-us/1"],
    "plan": [],
    "apply": [],
    "watch": ["--until-idle"],
    "history": ["clinic-en-us"],
    "retire": [],
    "transcribe": ["{clinic}/testing/t01.wav", "--model", "clinic-en-us"],
    "emulator status": [],
    "emulator coverage": [],
    "doctor": [],
    "plugins": [],
    "config show": [],
    "config schema": [],
    "completion": ["zsh"],
}
"""Arguments with which each command can be run in the directory of a finished demo and change nothing there."""
ELSEWHERE = {"demo", "emulator stop", "init", "rollback", "run", "score", "train"}
"""Commands that are run as JSON by tests of their own."""


def missing(name: str, document: Any) -> set[str]:
    """The names of the contract that a document of a command lacks; TypeError where it is a list and should be none, or the like."""
    wanted = CONTRACT[name]
    if isinstance(wanted, list) != isinstance(document, list):
        raise TypeError(f"{name} prints {type(document).__name__}")
    if isinstance(wanted, list):
        return {each for one in document for each in set(wanted[0]) - set(one)}
    return set(wanted) - set(document)
