"""MLflow as the home of the work: data sets, runs, logged models, registered versions.

Nothing is imported here. Take names from the modules: ``tracking.store``, ``tracking.dataset``, ``tracking.runs``, ...
"""
