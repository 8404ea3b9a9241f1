"""May this version be served? Every gate is asked, each on its own; any *no* blocks, and a gate that raises says no."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

from speech_mlflow.errors import ClaimHeldError
from speech_mlflow.plugins import call, plugin_manager
from speech_mlflow.promotion.champion import champion_decisions
from speech_mlflow.promotion.decisions import Candidate, Decision
from speech_mlflow.promotion.evidence import EvidenceUnreadable, TestEvidence, alike
from speech_mlflow.promotion.options import Stopped
from speech_mlflow.promotion.patience import within
from speech_mlflow.promotion.plan import APPROVED_BY

if TYPE_CHECKING:
    import pluggy

DAY = 86_400.0
GATE_SECONDS = 300.0
"""How long a gate may think."""
log = logging.getLogger(__name__)


def evaluate(
    candidate: Candidate,
    *,
    manager: pluggy.PluginManager | None = None,
    raising: bool = False,
    seconds: float = GATE_SECONDS,
    keep: Callable[[], None] | None = None,
) -> tuple[Decision, ...]:
    """What all gates say, built-in ones first. A gate says nothing by returning None.

    A gate that the target requires and that says nothing has said no. One that raises, or does not answer within ``seconds``, has
    said no, too; with ``raising`` its error comes out of here instead. ``keep`` is called every second while a gate thinks; what it
    raises comes out of here, as does EvidenceUnreadable.
    """
    manager = plugin_manager() if manager is None else manager
    said: list[Decision] = []
    for implementation in manager.hook.promotion_gate.get_hookimpls():
        name = implementation.plugin_name
        try:
            answer = within(seconds, partial(call, implementation, candidate), keep)
            said += _decisions(answer)
        except (Stopped, ClaimHeldError, EvidenceUnreadable):  # by ``keep``, or by MLflow: that is not what the gate said
            raise
        except Exception as error:  # a plugin may raise anything, and what cannot judge has not passed
            if raising:
                raise
            log.warning("gate %s failed: %s: %s", name, type(error).__name__, error)
            said.append(Decision(name.rpartition(".")[2], False, f"the gate failed: {type(error).__name__}: {error}"))
    return (*said, *_missing(candidate, said))


def refused(decisions: Iterable[Decision]) -> list[Decision]:
    """Those that said no."""
    return [one for one in decisions if not one.passed]


def builtin_gates(candidate: Candidate) -> list[Decision]:
    """What our own gates say, as far as the target asks for them."""
    said = (
        _model(candidate),
        _tested(candidate),
        _ceiling(candidate),
        *_champion(candidate),
        _contamination(candidate),
        _expiry(candidate),
        _approval(candidate),
    )
    return [one for one in said if one is not None]


def _missing(candidate: Candidate, said: Iterable[Decision]) -> list[Decision]:
    """A no for each gate that the target requires and that said nothing: its plugin may be missing, or not to be loaded."""
    answered = {one.gate for one in said}
    text = "required, and no plugin answered for it: see `speech-mlflow plugins` where the gates are asked"
    return [Decision(gate, False, text) for gate in candidate.target.required_gates if gate not in answered]


def _decisions(answer: object) -> list[Decision]:
    if answer is None:
        return []
    answers = answer if isinstance(answer, (list, tuple)) else [answer]
    for one in answers:
        if not isinstance(one, Decision):
            raise TypeError(f"a gate returns Decision, a list of them or None, not {type(one).__name__}")
    return list(answers)


def _model(candidate: Candidate) -> Decision | None:
    """The service's model must be there and have succeeded."""
    if candidate.model_status in {None, "Succeeded"}:
        return None
    return Decision("model", False, f"the model of version {candidate.version.number} is {candidate.model_status}")


def _tested(candidate: Candidate) -> Decision | None:
    wanted = candidate.target.test_dataset
    if wanted is None:
        return None
    test = _declared_test(candidate)
    if test is None:
        others = ", ".join(sorted({one.dataset for one in candidate.evidence})) or "nothing"
        return Decision("tested", False, f"version {candidate.version.number} was not tested on {wanted} (tested on: {others})")
    return Decision("tested", True, f"tested on {test.dataset} in run {test.run_id}", _wer_of(test))


def _ceiling(candidate: Candidate) -> Decision | None:
    ceiling = candidate.target.max_wer
    if ceiling is None:
        return None
    test = _declared_test(candidate)
    if test is None or test.wer is None:
        return Decision("max_wer", False, f"no word error rate of version {candidate.version.number} is known")
    text = f"WER {test.wer:.2%} on {test.dataset}, at most {ceiling:.2%}"
    return Decision("max_wer", test.wer <= ceiling, text, {**_wer_of(test), "max_wer": ceiling})


def _champion(candidate: Candidate) -> list[Decision]:
    """Not worse than what is served, on the same utterances, beyond what chance explains."""
    champion, rules = candidate.champion, candidate.target
    if not rules.compare or champion is None or champion.number == candidate.version.number:
        return []
    if candidate.rollback:
        return [
            Decision("champion", True, f"version {candidate.version.number} was served before: a move back is not compared")
        ]
    tests, champions = candidate.evidence, candidate.champion_evidence
    if rules.test_dataset is not None:
        tests = tuple(one for one in tests if one.is_of(rules.test_dataset))
    pair = alike(tests, champions)
    if pair is None or pair[0].score is None or pair[1].score is None:
        # where the data is declared that decides, a version that nobody compared on it has not passed
        lacking = "no test of both on the same data" if pair is None else "a test has no utterances"
        wanted = f"; test both on {rules.test_dataset}" if rules.test_dataset else ""
        passed = rules.test_dataset is None
        return [Decision("champion", passed, f"not compared with version {champion.number}: {lacking}{wanted}")]
    return champion_decisions(candidate, *pair)


def _contamination(candidate: Candidate) -> Decision | None:
    if not candidate.target.contamination:
        return None
    counted = [one for one in candidate.evidence if one.contaminated is not None]
    if not counted:
        return None
    test = next((one for one in counted if one == _declared_test(candidate)), counted[0])
    assert test.contaminated is not None
    count = "1 utterance" if test.contaminated == 1 else f"{test.contaminated or 'no'} utterances"
    text = f"{count} of the test data {test.dataset} in the training data"
    return Decision("contamination", test.contaminated == 0, text, {"contaminated": float(test.contaminated)})


def _expiry(candidate: Candidate) -> Decision | None:
    wanted = candidate.target.expires_within_days
    if candidate.expires is None:
        return Decision("expiry", False, "the service does not say when its model expires") if wanted else None
    days = (candidate.expires - candidate.now) / DAY
    when = datetime.fromtimestamp(candidate.expires, timezone.utc).date()
    text = (
        f"its model expires on {when}, in {days:.0f} days (more than {wanted:g} asked for)"
        if days > 0
        else f"its model expired on {when}"
    )
    return Decision("expiry", days > wanted, text, {"days": days, "expires_within_days": wanted})


def _approval(candidate: Candidate) -> Decision | None:
    """Somebody else than the author; the tag may name several people, with commas between them."""
    if not candidate.target.approval:
        return None
    author, who = candidate.author, f"version {candidate.version.number}"
    people = [name.strip() for name in candidate.version.tags.get(APPROVED_BY, "").split(",") if name.strip()]
    by = ", ".join(people)
    if not people:
        return Decision("approval", False, f"{who} has no tag {APPROVED_BY}")
    if not author:
        return Decision("approval", False, f"approved by {by}, and who made {who} is not known: no training run names a user")
    if all(name.lower() == author.strip().lower() for name in people):
        return Decision("approval", False, f"approved by {by}, who made {who}")
    return Decision("approval", True, f"approved by {by}; made by {author}")


def _declared_test(candidate: Candidate) -> TestEvidence | None:
    """The newest test on the declared data set, or the newest of all where none is declared."""
    wanted = candidate.target.test_dataset
    return next((one for one in candidate.evidence if wanted is None or one.is_of(wanted)), None)


def _wer_of(test: TestEvidence) -> dict[str, float]:
    return {} if test.wer is None else {"wer": test.wer}
