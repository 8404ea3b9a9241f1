"""A custom evaluator in ten lines: in how many utterances was the last word, often the one that matters, heard?

Its metric stands on every test run, for each model, and its column in the run's table. In a package of your own with an entry
point in the group ``speech_mlflow`` it works with every command (``plugins/_template`` is one to copy); here it is registered
by hand. Run it to see it work::

    python examples/evaluator.py              on the test data of the example corpus
    python examples/evaluator.py my-data      a folder of recordings with transcripts
"""

import sys
from pathlib import Path

import speech_mlflow as sm
from speech_mlflow.plugins import plugin_manager


# --- the evaluator: ten lines -----------------------------------------------------------------------------------------
def last_words(given: sm.EvaluatorInput) -> sm.EvaluatorOutput:
    spoken = [[word for word in u.alignment if word.reference is not None] for u in given.utterances]  # normalised, as for WER
    heard = [bool(words) and words[-1].op == "hit" for words in spoken]
    return sm.EvaluatorOutput({"last_word_accuracy": sum(heard) / len(heard)}, columns={"last word heard": heard})


@sm.hookimpl
def register_evaluators(register):
    register(sm.Evaluator("last_word", last_words))


# --- seeing it work ---------------------------------------------------------------------------------------------------
if __name__ == "__main__":
    from speech_mlflow.connection import mlflow_client

    plugin_manager().register(sys.modules[__name__], name="last-word")
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "clinic" / "testing"
    with sm.connect() as speech:
        tested = sm.test(speech, data=data, models=["base"])
    for metric, value in mlflow_client().get_run(tested.run_id).data.metrics.items():
        if metric.startswith(("last_word", "wer")):
            print(f"{metric}: {value:.3f}")
