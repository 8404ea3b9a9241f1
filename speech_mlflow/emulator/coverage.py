"""What the offline service emulates and what it does not: operations from the routes themselves, rules by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from speech_mlflow.emulator.problems import CHOICES

State = Literal["emulated", "in part", "not emulated"]


@dataclass(frozen=True)
class Covered:
    """One operation or rule. ``note`` says what is missing, or what was decided where the service's behaviour is not known."""

    kind: Literal["operation", "rule", "choice"]
    name: str
    state: State
    note: str = ""


LEFT_OUT = {
    "Transcriptions_Transcribe": "fast transcription takes no custom model",
}
"""Operations of the specification that are not routed."""

_PARTLY = {
    "Models_GetBaseModelManifest": "lists no files: a base model's files lie in the package of its engine",
    "Transcriptions_Submit": "no container URLs, language identification, diarization or separate channels; these are refused;"
    " displayFormWordLevelTimestampsEnabled is kept and has no effect",
    "Endpoints_Create": "content logging is refused, as for every resource without its own storage",
    "Models_Copy": "between two offline services",
}

RULES: tuple[Covered, ...] = (
    Covered("rule", "links with api-version on the request's own host", "emulated"),
    Covered(
        "rule", "key and bearer tokens; 401 and 403 in the gateway's shape", "emulated", "tokens are those named at the start"
    ),
    Covered("rule", "error shapes of service, gateway and short audio", "emulated"),
    Covered("rule", "paging with @nextLink, filter grammar", "emulated"),
    Covered(
        "rule", "states NotStarted, Running, Succeeded, Failed, with Retry-After", "emulated", "at once, by reads, or by time"
    ),
    Covered("rule", "customProperties: 10 entries, 64 and 256 characters, strings only", "emulated"),
    Covered("rule", "blocks: 8 MiB, ids of one length, committed and uncommitted lists", "emulated"),
    Covered("rule", "import checks for all six kinds, partly rejected and failed data sets, reports", "emulated"),
    Covered("rule", "locale agreement of project, data set, model, evaluation, endpoint", "emulated"),
    Covered("rule", "kinds that a base model adapts with", "emulated"),
    Covered(
        "rule",
        "training really learns; evaluation really recognises",
        "emulated",
        "by the engine; phones of structured text are not learnt",
    ),
    Covered("rule", "word, sentence and token error rates from real transcripts", "emulated"),
    Covered("rule", "testingKind", "emulated", "kept as a custom property; scores are counted either way"),
    Covered(
        "rule",
        "quotas of F0 and S0: counts, file sizes, concurrency, no batch in F0, F0 endpoints end after 7 days",
        "emulated",
    ),
    Covered("rule", "100 requests in 10 s with 429 and Retry-After", "emulated", "off unless rate_limit is set"),
    Covered("rule", "deletion refused for what is in use or at work", "emulated"),
    Covered(
        "rule",
        "deprecation dates by quarters; ModelDeprecated",
        "emulated",
        "the newest base model is renewed unless told otherwise",
    ),
    Covered("rule", "an expired model's endpoint falls back to the newest base model", "emulated"),
    Covered("rule", "an endpoint serves its old model until the new one is loaded", "emulated"),
    Covered("rule", "signed content URLs that expire and need no key", "emulated"),
    Covered("rule", "web hooks: challenge, signature, retries, ping, test", "emulated"),
    Covered("rule", "copy with authorisation and its expiry", "emulated"),
    Covered("rule", "time to live of transcriptions", "emulated"),
    Covered("rule", "profanity filter modes, output format rules, punctuation modes None and Dictated", "emulated"),
    Covered("rule", "OPUS in OGG at the short audio URL", "not emulated", "WAV only"),
    Covered("rule", "WebSocket of the Speech SDK", "not emulated", "links.webSocket names an address that does not answer"),
    Covered("rule", "bring-your-own-storage", "not emulated", "contents lie in the state directory"),
    Covered(
        "rule",
        "trusted access to Azure Storage by the resource's identity",
        "not emulated",
        "contentUrl must answer without credentials",
    ),
    Covered("rule", "content logging of endpoints", "not emulated", "refused"),
)


def coverage() -> list[Covered]:
    """Operations in the order of the routes, then those left out, then rules, then choices."""
    from speech_mlflow.emulator.app import MANAGEMENT
    from speech_mlflow.emulator.routes_recognition import ROUTES

    routed = [
        Covered(
            "operation",
            route.operation,
            "in part" if route.operation in _PARTLY else "emulated",
            _PARTLY.get(route.operation, ""),
        )
        for route in (*MANAGEMENT, *ROUTES)
    ]
    missing = [Covered("operation", name, "not emulated", reason) for name, reason in LEFT_OUT.items()]
    choices = [Covered("choice", name, "emulated", note) for name, note in CHOICES.items()]
    return [*routed, *missing, *RULES, *choices]
