"""What ``doctor`` looks at on this machine, and how checks are run: each on its own, and none for longer than it may.

A check is a function from the settings to findings. One that raises or hangs is a finding itself and stops no other.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from speech_mlflow.settings import FILE, Settings

State = Literal["ok", "warn", "fail"]
SECONDS = 25.0
"""What one check may take."""
CONNECT_SECONDS = 4.0
DISTRIBUTION = "speech-mlflow"
NEWEST_TESTED = (3, 13)


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what to do about it where it is not ok."""

    check: str
    state: State
    text: str
    fix: str | None = None


Check = Callable[[Settings], Iterable[Finding]]


def run_checks(checks: Sequence[tuple[str, Check]], settings: Settings, *, seconds: float = SECONDS) -> list[Finding]:
    """Run all checks side by side, and give their findings in the order of the checks."""
    found: list[list[Finding]] = [[] for _ in checks]

    def run(place: int, name: str, check: Check) -> None:
        try:
            for finding in check(settings):
                found[place].append(finding)
        except Exception as error:  # what a check did not expect is what it found
            text = (str(error).strip().splitlines() or [""])[0]
            fix = getattr(error, "hint", None) or "run `speech-mlflow doctor --debug` to see more"
            found[place].append(Finding(name, "fail", f"{type(error).__name__}: {text}", fix))

    threads = [threading.Thread(target=run, args=(n, *check), daemon=True) for n, check in enumerate(checks)]
    for thread in threads:
        thread.start()
    end = threading.Event()
    timer = threading.Timer(seconds, end.set)
    timer.daemon = True
    timer.start()
    for place, thread in enumerate(threads):
        while thread.is_alive() and not end.is_set():
            thread.join(0.05)
        if thread.is_alive():
            late = Finding(
                checks[place][0], "fail", f"no answer within {seconds:.0f} s", "see whether what it asks is overloaded"
            )
            found[place] = [*found[place], late]
    timer.cancel()
    return [finding for findings in found for finding in findings]


def python(settings: Settings) -> Iterable[Finding]:
    """The interpreter."""
    version = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info[:2] > NEWEST_TESTED:
        newest = ".".join(str(part) for part in NEWEST_TESTED)
        yield Finding("python", "warn", f"{version} is newer than what is tested", f"use Python 3.10 to {newest}")
    else:
        yield Finding("python", "ok", version)


def packages(settings: Settings) -> Iterable[Finding]:
    """Whether what is installed is what this package asks for."""
    from packaging.requirements import Requirement

    wrong, count = [], 0
    for line in importlib.metadata.requires(DISTRIBUTION) or ():
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            installed = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing ({wanted.specifier} is asked for)")
            continue
        if not wanted.specifier.contains(installed, prereleases=True):
            wrong.append(f"{wanted.name} {installed} ({wanted.specifier} is asked for)")
    ours = importlib.metadata.version(DISTRIBUTION)
    if wrong:
        yield Finding("packages", "fail", "; ".join(wrong), f"pip install --upgrade {DISTRIBUTION}=={ours}")
    else:
        yield Finding("packages", "ok", f"{DISTRIBUTION} {ours}, and the {count} packages it asks for")


def plugins(settings: Settings) -> Iterable[Finding]:
    """The plugins, and those that were left out."""
    from speech_mlflow.cli.plugin_commands import problems
    from speech_mlflow.plugins import list_plugins, plugin_manager

    listed = list_plugins()
    for plugin in listed:
        if plugin.error:
            fix = f"mend or uninstall it, or set SPEECH_MLFLOW_DISABLED_PLUGINS={plugin.name}"
            yield Finding("plugins", "warn", f"{plugin.name} is left out: {plugin.error}", fix)
    for owner, reasons in problems(plugin_manager()).items():
        for reason in reasons:
            yield Finding("plugins", "warn", f"{owner}: {reason}", f"mend it, or set SPEECH_MLFLOW_DISABLED_PLUGINS={owner}")
    names = [plugin.name for plugin in listed if not plugin.builtin and not plugin.error]
    yield Finding("plugins", "ok", ", ".join(names) if names else "none installed beside the built-in ones")


def settings_file(settings: Settings) -> Iterable[Finding]:
    """Where the settings come from, and whether the key lies in a file that others may read."""
    path = Path.cwd() / FILE
    origins = {name: settings.origin(name) for name in ("endpoint", "tracking_uri")}
    text = f"{FILE} {'read' if path.is_file() else 'is not there'}; " + ", ".join(f"{n}: {o}" for n, o in origins.items())
    if settings.key is not None and settings.origin("key") == "file":
        fix = "put it into the variable SPEECH_MLFLOW_KEY, or leave it out and use Microsoft Entra ID"
        yield Finding("settings", "warn", f"the key lies in {FILE}, which tends to be committed", fix)
    yield Finding("settings", "ok", text)


def audio_tools(settings: Settings) -> Iterable[Finding]:
    """What converts recordings that the service does not take. Nothing here needs it."""
    found = [name for name in ("ffmpeg", "sox") if shutil.which(name)]
    if found:
        yield Finding("audio", "ok", f"{' and '.join(found)} can convert recordings to 16 kHz mono WAV")
    else:
        fix = "install ffmpeg or sox, where your recordings are not WAV with 8 or 16 kHz, mono, 16 bits"
        yield Finding("audio", "warn", "neither ffmpeg nor sox is installed", fix)


def cannot_connect(url: str) -> str | None:
    """Why no connection to the host of ``url`` can be made; None where one can (or a proxy makes it)."""
    import socket
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return None
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return f"{host}:{port}: {error.strerror or error}"
    return None


def cannot_open(uri: str) -> str | None:
    """Why the SQLite store ``uri`` cannot be opened; None where it can, or is to be made. Of any other store None."""
    if not uri.startswith("sqlite:///"):
        return None
    path = Path(uri[len("sqlite:///") :].partition("?")[0])
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"no permission to write {path}"
    return None if writable(path.parent) else f"no permission to write to {path.parent.absolute()}"


def writable(path: Path) -> bool:
    """Whether files can be made in ``path``, or it can be made itself."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
