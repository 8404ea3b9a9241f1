"""What tracking itself plugs in."""

from __future__ import annotations
