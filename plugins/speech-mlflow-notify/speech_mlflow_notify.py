"""Tells Microsoft Teams and Slack what happens to endpoints.

Each of ``NOTIFY_TEAMS_URL`` and ``NOTIFY_SLACK_URL`` is the URL of an incoming web hook; who has it may post, so it is a secret and never
logged. ``NOTIFY_EVENTS`` names the kinds of events, separated by commas; the default leaves out *idle*, *interrupted* and *report*.

A message that cannot be posted is tried three times within ten seconds, then named in the log; the promotion goes on.
"""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from pydantic import SecretStr

import speech_mlflow

if TYPE_CHECKING:
    from speech_mlflow.promotion.events import PromotionEvent

TEAMS, SLACK, EVENTS = "NOTIFY_TEAMS_URL", "NOTIFY_SLACK_URL", "NOTIFY_EVENTS"
QUIET = frozenset({"interrupted", "report", "idle"})
"""The kinds that are told only where ``NOTIFY_EVENTS`` names them."""
BAD = frozenset({"refused", "rolled back", "failed", "ambiguous", "blocked", "drift", "error", "model_expiring"})
TRIES, SECONDS, ANSWER_SECONDS = 3, 10.0, 4.0
REMEMBERED = 1000
log = logging.getLogger(__name__)
_told: OrderedDict[tuple[str, str], None] = OrderedDict()


class NotDelivered(Exception):
    """A message was not taken; says why, without the URL."""


@speech_mlflow.hookimpl
def promotion_event(event: PromotionEvent) -> None:
    """Post the event to whatever is configured; once to each, though it may be told twice."""
    if not is_wanted(event.kind, os.environ):
        return
    for variable, message in ((TEAMS, teams_message), (SLACK, slack_message)):
        url = os.environ.get(variable)
        if not url or (event.id, variable) in _told:
            continue
        try:
            post(SecretStr(url), message(event))
        except NotDelivered as error:
            log.warning("%s of %s was not posted to %s: %s", event.kind, event.registered_model, variable, error)
        else:
            _told[event.id, variable] = None
            while len(_told) > REMEMBERED:
                _told.popitem(last=False)


def is_wanted(kind: str, environ: Mapping[str, str]) -> bool:
    """Whether events of a kind are told."""
    named = environ.get(EVENTS)
    return kind not in QUIET if named is None else kind in {one.strip() for one in named.split(",")}


def teams_message(event: PromotionEvent) -> dict[str, Any]:
    """An Adaptive Card, as the Workflows web hook of Teams takes it. Runs of text are not read as Markdown."""
    facts = [{"title": title, "value": value} for title, value in facts_of(event).items()]
    color = "attention" if event.kind in BAD else "good"
    head = {"type": "TextRun", "text": title_of(event), "weight": "bolder", "size": "medium", "color": color}
    body: list[dict[str, Any]] = [
        {"type": "RichTextBlock", "inlines": [head]},
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": event.reason}]},
        {"type": "FactSet", "facts": facts},
    ]
    card = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.4",
        "body": body,
    }
    return {"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}]}


def slack_message(event: PromotionEvent) -> dict[str, Any]:
    """Text blocks; the top text is what a notification shows."""
    facts = "\n".join(f"{title}: {value}" for title, value in facts_of(event).items())
    head = f"{':warning:' if event.kind in BAD else ':white_check_mark:'} *{_slack(title_of(event))}*"
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"{head}\n{_slack(event.reason)}"[:3000]}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": _slack(facts)[:2000]}]},
    ]
    return {"text": _slack(f"{title_of(event)}: {event.reason}")[:3000], "blocks": blocks}


def title_of(event: PromotionEvent) -> str:
    """What happened, in a line."""
    version = f" version {event.version}" if event.version else ""
    return f"{event.registered_model or 'controller'}{version}: {event.kind}"


def facts_of(event: PromotionEvent) -> dict[str, str]:
    """What to look things up by."""
    facts = {"target": event.target, "endpoint": event.endpoint_id, "promotion run": event.run_id}
    return {name: value for name, value in facts.items() if value} | {"time": f"{event.time:%Y-%m-%d %H:%M:%S} UTC"}


def post(url: SecretStr, message: Mapping[str, Any], *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Post a message, again where that may help. Raises NotDelivered."""
    try:
        parts = urlsplit(url.get_secret_value())
    except ValueError:  # its text would hold the URL
        raise NotDelivered("the web hook's URL is not valid") from None
    if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        raise NotDelivered("the web hook's URL does not begin with https://")
    data, end = json.dumps(message).encode(), time.monotonic() + SECONDS
    for attempt in range(1, TRIES + 1):
        try:
            return _send(url, data)
        except _Again as error:
            pause = error.seconds if error.seconds is not None else float(attempt)
            if attempt == TRIES or time.monotonic() + pause > end:
                raise NotDelivered(str(error)) from None
            sleep(pause)
    return None


class _Again(Exception):
    """May work later; ``seconds`` is what the other side asks to wait."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A web hook does not redirect; what would be sent along is nobody else's business."""

    def redirect_request(self, request: urllib.request.Request, answer: Any, *_: Any) -> NoReturn:  # type: ignore[override]
        answer.close()
        raise NotDelivered("the web hook redirects elsewhere")


def _send(url: SecretStr, data: bytes) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "speech-mlflow-notify"}
    request = urllib.request.Request(url.get_secret_value(), data=data, headers=headers, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=ANSWER_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 429 and error.code < 500:
            raise NotDelivered(f"it answered {error.code}") from None
        asked = error.headers.get("Retry-After", "")
        raise _Again(f"it answered {error.code}", float(asked) if asked.isdecimal() else None) from None
    except urllib.error.URLError as error:
        raise _Again(f"no connection: {error.reason}") from None
    except OSError as error:
        raise _Again(f"no answer: {type(error).__name__}") from None
    except ValueError:  # its text would hold the URL
        raise NotDelivered("the web hook's URL is not valid") from None


def _slack(text: str) -> str:
    """Text in which Slack finds no link, mention or tag."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
