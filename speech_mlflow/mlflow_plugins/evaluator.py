"""The evaluator ``speech`` of MLflow: ``mlflow.models.evaluate(..., model_type="speech-to-text", evaluators="speech")``.

::

    mlflow.models.evaluate(
        data=frame, targets="text", predictions="heard", model_type="speech-to-text", evaluators="speech",
    )
    mlflow.models.evaluate(
        "models:/clinic-en-us/2", frame, targets="text", model_type="speech-to-text", evaluators="speech",
        evaluator_config={"locale": "en-US", "audio": "path", "groups": ["speaker"]},
    )

MLflow imports this module when it first evaluates anything: it stands on MLflow's base class alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow.models.evaluation.base import ModelEvaluator

if TYPE_CHECKING:
    from mlflow.models import EvaluationResult

MODEL_TYPE = "speech-to-text"


class SpeechEvaluator(ModelEvaluator):  # type: ignore[misc, unused-ignore]
    """Scores transcripts against references and runs every registered evaluator on them.

    Metrics have the names that they have on a test run: ``wer.recomputed``, ``ser.recomputed``, and those of the evaluators.
    Artifacts are in the folder ``speech``: the report, the table of utterances, figures, files of the evaluators.
    """

    @classmethod
    def can_evaluate(cls, *, model_type: str | None, evaluator_config: dict[str, Any], **kwargs: Any) -> bool:
        """Speech models and no others, whose evaluation an installed package must not change. (MLflow itself asks for a type.)"""
        return model_type == MODEL_TYPE

    def evaluate(
        self,
        *,
        model_type: str | None,
        dataset: Any,
        run_id: str,
        evaluator_config: dict[str, Any] | None,
        model: Any = None,
        extra_metrics: Any = None,
        custom_artifacts: Any = None,
        predictions: str | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """What MLflow calls; see :func:`speech_mlflow.mlflow_plugins.evaluation.evaluate`."""
        from speech_mlflow.mlflow_plugins.evaluation import evaluate

        return evaluate(
            dataset,
            run_id,
            evaluator_config or {},
            model=model,
            predictions=predictions,
            logged_model_id=kwargs.get("model_id"),
            ignored=[
                name for name, given in (("extra_metrics", extra_metrics), ("custom_artifacts", custom_artifacts)) if given
            ],
        )
