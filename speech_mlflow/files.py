"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from speech_mlflow.errors import SpeechMlflowError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when all went well, and is gone when not; only its owner may read it."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            yield cast(BinaryIO, file)
        os.replace(temporary, path)
        temporary = None
    except OSError as problem:
        what = f"{problem.filename or path}: cannot be read or written: {problem.strerror}"
        raise SpeechMlflowError(what, hint="is there space and the right to write?") from None
    finally:
        if temporary is not None:
            os.unlink(temporary)
