"""Promote a version where all gates say yes, as a scheduled job would; exit with 4 where one says no.

::

    python examples/promote_with_gates.py                       on the example corpus, WER at most 70 %
    python examples/promote_with_gates.py my-corpus 0.25        a corpus laid out like it, and another ceiling

What the gates said is in the promotion's MLflow run, recorded before the endpoint is touched.
"""

import sys
from pathlib import Path

import speech_mlflow as sm
from speech_mlflow.connection import mlflow_client
from speech_mlflow.errors import GateError
from speech_mlflow.promotion import Options, Target, judge, promote

corpus = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "clinic"
ceiling = float(sys.argv[2]) if len(sys.argv) > 2 else 0.70
name = "example-gated"
gates = Target(test_dataset="testing", max_wer=ceiling, confidence=0.95, expires_within_days=30)

client = mlflow_client()
with sm.connect() as speech:
    trained = sm.train(speech, name=name, data=[corpus / "training" / "related-text.txt"], registered_model=name)
    sm.test(speech, data=corpus / "testing", models=["base", trained.model])

    # what the gates would say; nothing is written
    for decision in judge(speech, client, name, trained.version, gates).decisions:
        print(f"{'passed' if decision.passed else 'NO':6}  {decision.gate}: {decision.reason}")

    try:
        applied = promote(speech, client, name, trained.version, gates, options=Options(who="nightly job", why="new data"))
    except GateError as error:
        print(error)
        sys.exit(error.exit_code)
    print(f"{applied.result}: {applied.reason}")
