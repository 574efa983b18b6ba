"""How commands end: the right exit status, a sentence and a way out, never a traceback."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.aws import ROOT


def spillway(
    *words: str, cwd: Path = ROOT, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would, with nothing of their AWS account but `variables`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    environment |= {"AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(ROOT), **(variables or {})}
    return subprocess.run(
        [sys.executable, "-m", "spillway", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["no-such-command"], "no-such-command"),
        (["available"], "SKU"),
        (["available", "A", "--stock", "0"], "--stock"),
        (["available", "fj-ink-l"], "capitals"),
        (["available", "A", "--stage", "../x"], "../x"),
        (["available", "A", "--stage", "prod"], "credentials"),
        (["publish", "--stage", "UPPER"], "UPPER"),
        (["package", "--stage", "../../x"], "../../x"),
        (["deploy", "--stage", "prod", "--param", "nonsense"], "nonsense"),
        (["build", "--base-url", "ftp://x"], "ftp://x"),
        (["demo", "--port", "80"], "--port"),
    ],
)
def test_wrong_words_end_with_2_and_are_named(words: Sequence[str], named: str) -> None:
    ended = spillway(*words)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


def test_outside_a_shop_the_way_in_is_told(tmp_path: Path) -> None:
    ended = spillway("build", cwd=tmp_path)
    assert ended.returncode == 2
    assert "site/site.toml" in ended.stderr


def test_an_aws_that_does_not_answer_is_told_in_a_sentence() -> None:
    variables = {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    ended = spillway("sold-out", "A", "--stage", "prod", variables=variables)
    assert ended.returncode == 1
    assert "spillway: AWS:" in ended.stderr
    assert "Traceback" not in ended.stderr
