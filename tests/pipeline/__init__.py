"""Declared projects."""
