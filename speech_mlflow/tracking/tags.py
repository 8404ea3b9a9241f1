"""The names of everything written to MLflow that is not MLflow's own: tags, and the kinds of run.

Ids and the identity of the speech resource are stored, never URLs: links are made afresh from the endpoint in use.
This module imports nothing, so that any part may ask for a name.
"""

from __future__ import annotations

# --- what a run is -------------------------------------------------------------------------------------------------
KIND = "speech.kind"
"""What the run did: one of the ``KIND_*`` values."""
KIND_TRAIN = "train"
KIND_TEST = "test"
KIND_PROMOTION = "promotion"
KIND_CLAIM = "claim"
KIND_PIPELINE = "pipeline"
"""A declared project: the parent of the runs that it caused."""

KEY = "speech.key"
"""The content key: equal for two runs that would do the same work (data, models, options, resource)."""
ATTEMPT = "speech.attempt"
"""Counts the runs of one key, from 1; above 1 where an earlier one failed or the work was forced."""
DISPLAY_NAME = "speech.display_name"
"""The ``displayName`` under which the service knows what the run made."""
ERROR = "speech.error"
"""Why the run failed, in the service's words."""
REGISTERED_MODEL = "speech.registered_model"
IMPORTED = "speech.imported"
"""On a run of work that MLflow did not see being done: when it was brought in from the speech resource, ISO 8601."""
FAILED_EVALUATORS = "speech.failed_evaluators"
"""On a test run: the custom evaluators that raised, and why, as JSON."""
NORMALIZER = "speech.normalizer"
"""On a run of ``mlflow.models.evaluate``: the normaliser under which texts were compared."""
GREATER_IS_BETTER = "speech.greater_is_better"
"""On a test run: the evaluators' metrics of which more is better, as a JSON list; of all others less is."""

# --- where the work lies in the service ----------------------------------------------------------------------------
RESOURCE = "speech.resource"
"""Stable identity of the speech resource (no secret, no URL)."""
API_VERSION = "speech.api_version"
LOCALE = "speech.locale"
PROJECT_ID = "speech.project_id"
MODEL_ID = "speech.model_id"
"""Id of the custom model; on a test run of several models, their ids in the order tested, separated by commas."""
BASE_MODEL_ID = "speech.base_model_id"
DATASET_IDS = "speech.dataset_ids"
"""Ids of the service's data sets, separated by commas."""
EVALUATION_ID = "speech.evaluation_id"
"""Id of the evaluation; where more than two models were tested, the ids separated by commas."""
ENDPOINT_ID = "speech.endpoint_id"
EXPIRES = "speech.expires"
"""When the service stops transcribing with the model, ISO 8601."""

# --- inputs --------------------------------------------------------------------------------------------------------
FINGERPRINT = "speech.fingerprint"
"""On a data set input: the whole content fingerprint (64 hexadecimal digits)."""
DATASET_ID = "speech.dataset_id"
"""On a data set input: the id of the service's data set."""
DATASET_KIND = "speech.dataset_kind"
CONTEXT_TRAINING = "training"
CONTEXT_TESTING = "testing"

# --- logged models and registered versions -------------------------------------------------------------------------
TRAIN_RUN_ID = "speech.train_run_id"
TEST_RUN_ID = "speech.test_run_id"
WER = "speech.wer"
"""Word error rate of the version's newest test, a fraction."""
HOLD = "speech.hold"
"""Why the version is not to be served: set when a gate or a probe said no."""
UID = "speech.uid"
"""Random id of a registered model, so that two MLflow servers may share one speech resource."""

PRODUCTION = "speech.production"
"""On a registered model, where a tag is what deploys (``trigger = "tag"``): the number of the version to be served."""
SERVED_VERSION = "speech.served_version"
"""On a registered model: the version that the last promotion published as served. A target other than the default one adds
its name, as in ``speech.served_version.west``; the same goes for ``speech.endpoint_id``."""

# --- promotion runs ------------------------------------------------------------------------------------------------
MODEL_VERSION = "speech.model_version"
RESULT = "speech.result"
REASON = "speech.reason"

# --- code ----------------------------------------------------------------------------------------------------------
VERSION = "speech.version"
"""Version of speech_mlflow that did the work."""
PYTHON = "speech.python"
PACKAGES = "speech.packages"
"""Versions of the packages that matter for the numbers, as JSON."""

# --- the service's customProperties (hyphen style, as the service's own) -------------------------------------------
PROPERTY_MANAGED_BY = "managed-by"
PROPERTY_FINGERPRINT = "fingerprint"
PROPERTY_RUN_ID = "mlflow-run-id"
PROPERTY_UID = "speech-uid"
PROPERTY_REGISTERED_MODEL = "registered-model"
PROPERTY_MODEL_VERSION = "model-version"
PROPERTY_PLAN = "plan"
MANAGED_BY = "speech-mlflow"
