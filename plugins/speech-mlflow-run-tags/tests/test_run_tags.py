"""Tags of the three CI services, from variables as their documentation lists them, and of a real git repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import speech_mlflow_run_tags as plugin

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "octo/clinic",
    "GITHUB_RUN_ID": "77",
    "GITHUB_REF": "refs/pull/12/merge",
    "GITHUB_REF_NAME": "12/merge",
    "GITHUB_HEAD_REF": "more-data",
    "GITHUB_SHA": "c0ffee",
    "GITHUB_ACTOR": "ann",
    "GITHUB_SERVER_URL": "https://github.com",
}
AZURE = {
    "TF_BUILD": "True",
    "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/octo/",
    "SYSTEM_TEAMPROJECT": "Speech Lab",
    "BUILD_BUILDID": "78",
    "BUILD_REPOSITORY_NAME": "clinic",
    "BUILD_REQUESTEDFOR": "Ann",
    "BUILD_SOURCEVERSION": "c0ffee",
    "BUILD_SOURCEBRANCH": "refs/heads/feature/more-data",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_JOB_URL": "https://gitlab.com/octo/clinic/-/jobs/9",
    "CI_PIPELINE_ID": "79",
    "CI_PROJECT_PATH": "octo/clinic",
    "CI_COMMIT_SHA": "c0ffee",
    "CI_COMMIT_REF_NAME": "more-data",
    "CI_MERGE_REQUEST_IID": "12",
    "GITLAB_USER_LOGIN": "ann",
}


@pytest.mark.parametrize(
    ("environ", "tags"),
    [
        (
            GITHUB,
            {
                "ci.name": "GitHub Actions",
                "ci.url": "https://github.com/octo/clinic/actions/runs/77",
                "ci.run": "77",
                "ci.actor": "ann",
                "ci.change": "12",
                "ci.repository": "octo/clinic",
                "git.commit": "c0ffee",
                "git.branch": "more-data",
            },
        ),
        (
            AZURE,
            {
                "ci.name": "Azure Pipelines",
                "ci.url": "https://dev.azure.com/octo/Speech%20Lab/_build/results?buildId=78",
                "ci.run": "78",
                "ci.actor": "Ann",
                "ci.repository": "clinic",
                "git.commit": "c0ffee",
                "git.branch": "feature/more-data",
            },
        ),
        (
            GITLAB,
            {
                "ci.name": "GitLab CI",
                "ci.url": "https://gitlab.com/octo/clinic/-/jobs/9",
                "ci.run": "79",
                "ci.actor": "ann",
                "ci.change": "12",
                "ci.repository": "octo/clinic",
                "git.commit": "c0ffee",
                "git.branch": "more-data",
            },
        ),
        ({}, {}),
        ({"TF_BUILD": "True"}, {"ci.name": "Azure Pipelines"}),
    ],
    ids=["github", "azure", "gitlab", "none", "nearly none"],
)
def test_the_job_is_read_from_its_environment(environ: dict[str, str], tags: dict[str, str]) -> None:
    assert plugin.ci_tags(environ) == tags


def git(directory: Path, *arguments: str) -> str:
    command = ["git", "-C", str(directory), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_checkout_tells_commit_branch_state_and_remote_without_password(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    git(tmp_path, "remote", "add", "origin", "https://ann:canary@5@example.org/clinic.git")
    tags = plugin.git_tags(tmp_path)
    assert tags == {
        "git.commit": git(tmp_path, "rev-parse", "HEAD"),
        "git.branch": "main",
        "git.dirty": "false",
        "git.remote": "https://example.org/clinic.git",
    }
    (tmp_path / "a").write_text("2")
    assert plugin.git_tags(tmp_path)["git.dirty"] == "true"
    git(tmp_path, "checkout", "--quiet", "--detach")
    assert "git.branch" not in plugin.git_tags(tmp_path)


def test_what_is_no_checkout_has_no_tags(tmp_path: Path) -> None:
    assert plugin.git_tags(tmp_path) == {}


def test_the_jobs_commit_comes_before_the_checkouts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GITHUB.items():
        monkeypatch.setenv(name, value)
    assert plugin.run_tags("train")["git.commit"] == "c0ffee"
