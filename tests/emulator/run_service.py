"""Run an offline service in a process of its own with the test's engines: ``python run_service.py DIRECTORY ENGINE``."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from pydantic import SecretStr

from speech_mlflow.emulator.address import read_key, write_key
from speech_mlflow.emulator.options import Options
from speech_mlflow.emulator.server import serve

if limit := os.environ.get("FILE_LIMIT"):  # no file may grow beyond so many bytes, as on a disk that is full
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
directory = Path(sys.argv[1])
key = read_key(directory) or write_key(directory, SecretStr("a" * 32))
serve("127.0.0.1", 0, directory, key, options=Options(directory, key, engine=sys.argv[2]))
