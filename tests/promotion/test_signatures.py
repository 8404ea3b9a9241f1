"""Whose call is it? Every way that a signature can be wrong, against MLflow's own way of signing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from speech_mlflow.promotion.signatures import (
    TOLERANCE_SECONDS,
    Seen,
    UnsignedError,
    check_mlflow,
    check_speech,
    signed_headers,
)

NOW = 1_800_000_000
SECRET = "a shared secret"
BODY = b'{"entity": "model_version", "data": {"name": "clinic"}}'
ID = "0b9c8f6e-6a7c-4f19-9a39-1f1d7d2f6a55"


def headers(**changed: Any) -> list[tuple[str, str]]:
    """Good headers, with some changed: None takes one away."""
    good = signed_headers(SECRET, ID, NOW, BODY)
    short = {"id": "x-mlflow-delivery-id", "time": "x-mlflow-timestamp", "signature": "x-mlflow-signature"}
    values = good | {short[name]: value for name, value in changed.items()}
    return [(name, value) for name, value in values.items() if value is not None]


def check(given: list[tuple[str, str]], body: bytes = BODY, *secrets: str, now: float = NOW) -> str:
    return check_mlflow(given, body, secrets or (SECRET,), now=now)


def signature(*, secret: str = SECRET, delivery_id: str = ID, seconds: object = NOW, body: bytes = BODY) -> str:
    """As ``mlflow/webhooks/delivery.py`` signs, written down once more."""
    payload = f"{delivery_id}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), payload, hashlib.sha256).digest()).decode()


def test_what_mlflow_signs_is_taken() -> None:
    assert check(headers()) == ID
    assert check(headers(signature=signature())) == ID


def test_mlflow_itself_signs_this_way() -> None:
    from mlflow.webhooks import delivery

    theirs = delivery._generate_hmac_signature(SECRET, ID, str(NOW), BODY.decode())
    assert check(headers(signature=theirs)) == ID


WRONG: dict[str, list[tuple[str, str]]] = {
    "no id": headers(id=None),
    "no time": headers(time=None),
    "no signature": headers(signature=None),
    "empty signature": headers(signature=""),
    "bad base64": headers(signature="v1,***"),
    "another version": headers(signature=signature().replace("v1,", "v2,")),
    "no version": headers(signature=signature()[3:]),
    "another key": headers(signature=signature(secret="another")),
    "cut": headers(signature=signature()[:-4]),
    "longer": headers(signature=signature() + "AAAA"),
    "not ascii": headers(signature="v1,\udcff\xe9"),
    "another id": headers(id=ID[::-1]),
    "a dot in the id": headers(id="a.b", signature=signature(delivery_id="a.b")),
    "an endless id": headers(id="a" * 129, signature=signature(delivery_id="a" * 129)),
    "time is no number": headers(time="nan", signature=signature(seconds="nan")),
    "time is negative": headers(time="-1", signature=signature(seconds=-1)),
    "time has a point": headers(time=f"{NOW}.0", signature=signature(seconds=f"{NOW}.0")),
    "time in other digits": headers(time="١٨٠٠٠٠٠٠٠٠", signature=signature(seconds="١٨٠٠٠٠٠٠٠٠")),
    "another time": headers(time=str(NOW + 1)),
    "id twice": [*headers(), ("x-mlflow-delivery-id", ID)],
    "time twice": [*headers(), ("x-mlflow-timestamp", str(NOW))],
    "signature twice": [*headers(), ("x-mlflow-signature", signature())],
}


@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG.keys())
def test_what_is_not_signed_by_us_is_refused(given: list[tuple[str, str]]) -> None:
    with pytest.raises(UnsignedError):
        check(given)


@pytest.mark.parametrize("bit", range(0, 8 * len(BODY), 37))
def test_a_changed_bit_is_noticed(bit: int) -> None:
    changed = bytearray(BODY)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(UnsignedError):
        check(headers(), bytes(changed))


def test_the_bytes_are_signed_and_not_their_meaning() -> None:
    with pytest.raises(UnsignedError):
        check(headers(), json.dumps(json.loads(BODY), separators=(",", ":")).encode())


@pytest.mark.parametrize("off", [-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1, -86_400.0, 86_400.0])
def test_old_and_future_calls_are_refused(off: float) -> None:
    with pytest.raises(UnsignedError, match="s off"):
        check(headers(), now=NOW + off)


@pytest.mark.parametrize("off", [-TOLERANCE_SECONDS, 0.0, TOLERANCE_SECONDS])
def test_clocks_may_differ_by_the_tolerance(off: float) -> None:
    assert check(headers(), now=NOW + off) == ID


def test_secrets_can_be_changed_without_a_gap() -> None:
    assert check(headers(), BODY, "the new one", SECRET) == ID
    both = f"{signature(secret='the new one')} {signature()}"
    assert check(headers(signature=both), BODY, "the new one") == ID
    assert check(headers(signature=both), BODY, SECRET) == ID
    with pytest.raises(UnsignedError):
        check(headers(signature=both), BODY, "a third one")


def test_an_empty_secret_opens_nothing() -> None:
    with pytest.raises(UnsignedError):
        check(headers(signature=signature(secret="")), BODY, "")


def test_what_the_speech_service_signs_is_taken_and_nothing_else() -> None:
    from speech_mlflow.emulator.webhooks import sign

    name = "x-microsoftspeechservices-signature"
    assert check_speech([(name, sign(SECRET, BODY))], BODY, [SECRET]) == hashlib.sha256(BODY).hexdigest()
    for wrong in ([], [(name, sign("another", BODY))], [(name, "")], [(name, sign(SECRET, BODY))] * 2):
        with pytest.raises(UnsignedError):
            check_speech(wrong, BODY, [SECRET])


def test_a_delivery_is_known_as_long_as_it_could_come_again() -> None:
    seen = Seen(seconds=600, most=3)
    assert seen.add("a", 0)
    assert not seen.add("a", 600)
    assert seen.add("a", 601)
    assert [seen.add(name, 602) for name in "bcd"] == [True, True, True]
    assert len(seen) == 3  # "a" went: it was the oldest
    assert seen.add("e", 5000)
    assert len(seen) == 1
