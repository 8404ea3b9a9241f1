"""Each run says which commit it was made from and which CI job made it.

``git.commit``, ``git.branch``, ``git.dirty`` and ``git.remote`` come from the working directory; in GitHub Actions, Azure Pipelines and
GitLab CI, ``ci.name``, ``ci.url``, ``ci.run``, ``ci.actor``, ``ci.change`` (the pull or merge request), ``ci.repository``, ``git.commit``
and ``git.branch`` come from the job's environment. What is not known is left out.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import speech_mlflow

GIT_SECONDS = 5
_CREDENTIALS = re.compile(r"(?<=://)[^/]*@")


@speech_mlflow.hookimpl
def run_tags(kind: str) -> dict[str, str]:
    """The tags of the working directory and of the CI job. The job's commit is the one that was asked for, so it comes last."""
    return {**git_tags(Path.cwd()), **ci_tags(os.environ)}


def ci_tags(environ: Mapping[str, str]) -> dict[str, str]:
    """What the environment of a CI job says; nothing outside of one."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return _known(_github(environ))
    if environ.get("TF_BUILD", "").lower() == "true":
        return _known(_azure_pipelines(environ))
    if environ.get("GITLAB_CI") == "true":
        return _known(_gitlab(environ))
    return {}


def git_tags(directory: Path) -> dict[str, str]:
    """What git says of a directory; nothing where it is no checkout or git is not there."""
    commit = _git(directory, "rev-parse", "HEAD")
    if not commit:
        return {}
    branch = _git(directory, "rev-parse", "--abbrev-ref", "HEAD")
    changed = _git(directory, "status", "--porcelain", "--untracked-files=no")
    remote = _git(directory, "config", "--get", "remote.origin.url")
    return _known(
        {
            "git.commit": commit,
            "git.branch": None if branch == "HEAD" else branch,
            "git.dirty": None if changed is None else "true" if changed else "false",
            "git.remote": _CREDENTIALS.sub("", remote) if remote else None,
        }
    )


def _github(environ: Mapping[str, str]) -> dict[str, str | None]:
    repository, run = environ.get("GITHUB_REPOSITORY"), environ.get("GITHUB_RUN_ID")
    change = re.fullmatch(r"refs/pull/(\d+)/\w+", environ.get("GITHUB_REF", ""))
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    return {
        "ci.name": "GitHub Actions",
        "ci.url": f"{server}/{repository}/actions/runs/{run}" if repository and run else None,
        "ci.run": run,
        "ci.actor": environ.get("GITHUB_ACTOR"),
        "ci.change": change[1] if change else None,
        "ci.repository": repository,
        "git.commit": environ.get("GITHUB_SHA"),
        "git.branch": environ.get("GITHUB_HEAD_REF") or environ.get("GITHUB_REF_NAME"),
    }


def _azure_pipelines(environ: Mapping[str, str]) -> dict[str, str | None]:
    collection, project = environ.get("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"), environ.get("SYSTEM_TEAMPROJECT")
    run = environ.get("BUILD_BUILDID")
    where = f"{collection.rstrip('/')}/{quote(project)}" if collection and project else None
    branch = environ.get("SYSTEM_PULLREQUEST_SOURCEBRANCH") or environ.get("BUILD_SOURCEBRANCH")
    return {
        "ci.name": "Azure Pipelines",
        "ci.url": f"{where}/_build/results?buildId={run}" if where and run else None,
        "ci.run": run,
        "ci.actor": environ.get("BUILD_REQUESTEDFOR"),
        "ci.change": environ.get("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER") or environ.get("SYSTEM_PULLREQUEST_PULLREQUESTID"),
        "ci.repository": environ.get("BUILD_REPOSITORY_NAME"),
        "git.commit": environ.get("BUILD_SOURCEVERSION"),
        "git.branch": branch.removeprefix("refs/heads/") if branch else None,
    }


def _gitlab(environ: Mapping[str, str]) -> dict[str, str | None]:
    return {
        "ci.name": "GitLab CI",
        "ci.url": environ.get("CI_JOB_URL") or environ.get("CI_PIPELINE_URL"),
        "ci.run": environ.get("CI_PIPELINE_ID"),
        "ci.actor": environ.get("GITLAB_USER_LOGIN"),
        "ci.change": environ.get("CI_MERGE_REQUEST_IID"),
        "ci.repository": environ.get("CI_PROJECT_PATH"),
        "git.commit": environ.get("CI_COMMIT_SHA"),
        "git.branch": environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or environ.get("CI_COMMIT_REF_NAME"),
    }


def _known(tags: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if value}


def _git(directory: Path, *arguments: str) -> str | None:
    """The output of a git command; None where it fails."""
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
