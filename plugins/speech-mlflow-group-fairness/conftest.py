"""Its presence puts this folder on the path of its tests, so that they run from a checkout without an installation."""
