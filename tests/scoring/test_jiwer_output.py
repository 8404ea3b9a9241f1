from __future__ import annotations

import jiwer

from speech_mlflow.scoring import score
from speech_mlflow.scoring.evaluators import EvaluatedUtterance, EvaluatorInput
from tests.scoring.oracle import corpus


def test_what_jiwer_makes_of_our_alignments() -> None:
    references, hypotheses = corpus(200, seed=41, rate=0.3)
    found = score([*references, "", "a"], [*hypotheses, "x", ""])
    output = found.to_jiwer()
    assert isinstance(output, jiwer.WordOutput)
    assert (output.hits, output.substitutions, output.deletions, output.insertions) == (
        found.hits, found.substitutions, found.deletions, found.insertions,
    )  # fmt: skip
    for said, heard, chunks in zip(output.references, output.hypotheses, output.alignments, strict=True):
        rebuilt: list[str] = []
        for chunk in chunks:
            if chunk.type == "equal":
                assert said[chunk.ref_start_idx : chunk.ref_end_idx] == heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
            rebuilt += heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        assert rebuilt == heard
        assert (chunks[0].ref_start_idx, chunks[-1].ref_end_idx) == (0, len(said))


def test_an_evaluator_may_ask_for_them() -> None:
    references, hypotheses = corpus(50, seed=4, rate=0.3)
    found = score(references, hypotheses)
    utterances = [EvaluatedUtterance(one.id, one.reference, one.hypothesis, one.alignment) for one in found]
    output = EvaluatorInput("m", "en-US", utterances, lambda name: None).to_jiwer()
    assert output == found.to_jiwer()
    assert (output.wer, output.mer, output.wil, output.wip) == (found.wer, found.mer, found.wil, found.wip)
    theirs = jiwer.process_words(references, hypotheses)
    assert (output.references, output.hypotheses) == (theirs.references, theirs.hypotheses)
    assert output.wer == theirs.wer


def test_jiwer_draws_them() -> None:
    drawn = jiwer.visualize_alignment(score(["the cat sat"], ["the cut sat down"]).to_jiwer())
    assert "REF: the cat sat ****" in drawn
    assert "S" in drawn
    assert "I" in drawn
