"""The folder of contents: uploaded blocks, data set files, reports, results. Knows no HTTP and no database.

A blob is written under a temporary name and renamed when complete, so a name in the database never points to half a file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_COPY_BYTES = 1024 * 1024


class Blobs:
    """Files below ``root``. Names are ours (random), never taken from a request."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work"
        self.kept = root / "blobs"
        for folder in (self.root, self.work, self.kept):
            folder.mkdir(parents=True, exist_ok=True)
        self.clear_work()

    def clear_work(self) -> None:
        """Remove what an interrupted process left half done."""
        for path in self.work.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def create(self) -> Iterator[tuple[str, BinaryIO]]:
        """Write a new blob: yields its name and the open file; complete (and kept) only when the block ends without error."""
        name = secrets.token_hex(16)
        temporary = self.work / name
        try:
            with open(temporary, "wb") as file:
                yield name, file
            target = self.path(name)
            target.parent.mkdir(exist_ok=True)
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def put(self, content: bytes) -> str:
        """Keep ``content``; returns its name."""
        with self.create() as (name, file):
            file.write(content)
        return name

    def keep_file(self, source: Path) -> str:
        """Take over a file made below ``work``; returns its name."""
        name = secrets.token_hex(16)
        target = self.path(name)
        target.parent.mkdir(exist_ok=True)
        os.replace(source, target)
        return name

    def path(self, name: str) -> Path:
        """Where the blob ``name`` lies."""
        return self.kept / name[:2] / name

    def read(self, name: str) -> bytes:
        """The whole content."""
        return self.path(name).read_bytes()

    def delete(self, names: list[str]) -> None:
        """Remove blobs; one that is gone already is no error."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def join(self, names: list[str], target: Path) -> None:
        """Write blobs one after another into a file of the caller's."""
        with open(target, "wb") as out:
            for name in names:
                with open(self.path(name), "rb") as part:
                    shutil.copyfileobj(part, out, _COPY_BYTES)

    def names(self) -> Iterator[str]:
        """Every blob there is, to find those that nothing refers to."""
        for folder in self.kept.iterdir():
            if folder.is_dir():
                yield from (path.name for path in folder.iterdir())

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Path]:
        """A folder for one job, removed afterwards."""
        folder = self.work / secrets.token_hex(16)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
