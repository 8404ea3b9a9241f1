"""An offline service with the engine of tones in a process of its own, which does what a test writes to its standard input.

One JSON document a line: ``{"faults": [{"kind": ..., ...}]}`` puts these faults in force instead of the last ones,
``{"clock": seconds}`` sets the clock off by so much. Each is answered by a line on standard output that says how many requests
met a fault since faults were last put in force; the first line there is the address.
"""

from __future__ import annotations

import datetime
import json
import secrets
import sys
from pathlib import Path

from pydantic import SecretStr

from speech_mlflow.emulator.faults import Fault, FaultPlan
from speech_mlflow.emulator.options import Options
from tests.fixtures.emulator import in_thread


class CountingPlan(FaultPlan):
    """Knows how many requests met a fault."""

    hits = 0

    def take(self, method: str, path: str) -> list[Fault]:
        """The faults that hit this request."""
        faults = super().take(method, path)
        self.hits += bool(faults)
        return faults


def main(directory: Path) -> None:
    """Serve until standard input ends."""
    offset = datetime.timedelta()
    plan, key = CountingPlan(), SecretStr(secrets.token_hex(16))

    def clock() -> datetime.datetime:
        return datetime.datetime.now(datetime.timezone.utc) + offset

    with in_thread(Options(directory, key, engine="tone", faults=plan, clock=clock)) as service:
        say({"url": service.address.url, "key": key.get_secret_value(), "resource": service.address.resource})
        for line in sys.stdin:
            wanted = json.loads(line)
            if "faults" in wanted:
                plan.clear()
                plan.hits = 0
                for fault in wanted["faults"]:
                    plan.add(Fault(**fault))
            if "clock" in wanted:
                offset = datetime.timedelta(seconds=wanted["clock"])
            say({"hits": plan.hits})


def say(document: object) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


main(Path(sys.argv[1]))
