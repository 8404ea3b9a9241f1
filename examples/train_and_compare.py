"""Train two models, and see whether the second one is better than the first beyond chance.

Run it where ``speech-mlflow`` works; without an endpoint in the settings it uses the offline service::

    python examples/train_and_compare.py                 on the example corpus
    python examples/train_and_compare.py my-corpus       a folder with training/ and testing/ laid out like it

A second run finds both models and the test: nothing is trained or tested twice.
"""

import sys
from pathlib import Path

import speech_mlflow as sm

corpus = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "clinic"
text = [corpus / "training" / "related-text.txt", corpus / "training" / "pronunciations.txt"]
recordings = sm.read_corpus(
    corpus / "training" / "audio-and-transcripts", locale="en-US", name="recordings", purpose="training"
)
testing = sm.read_corpus(corpus / "testing", locale="en-US", purpose="testing")
print(f"{len(recordings.utterances)} recordings to train with, {len(testing.utterances)} to test on")

with sm.connect() as speech:
    words = sm.train(speech, name="example-words", data=text, registered_model="example-words")
    voices = sm.train(speech, name="example-voices", data=[*text, recordings], registered_model="example-voices")
    tested = sm.test(speech, data=testing, models=["base", words.model, voices.model])

for label, score in tested.scores.items():
    print(f"{label:20} WER {score.wer:6.1%}  ({score.errors} errors in {score.words} words)")
first, second = list(tested.scores)[-2:]
print(sm.compare(tested.scores[first], tested.scores[second], names=(first, second)))
print(f"MLflow run {tested.run_id}{' (found, not made again)' if tested.reused else ''}")
