"""Thin adapters that MLflow finds by entry point."""
