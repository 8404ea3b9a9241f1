"""The built-in implementations of hooks in this part; loaded like any plugin, so it imports nothing heavy at its top."""

from __future__ import annotations
