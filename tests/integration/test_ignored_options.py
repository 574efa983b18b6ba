"""An option that has no effect beside another one is refused, in every command that has such a pair."""

import pytest
from click.testing import CliRunner

from spillway.__main__ import cli
from spillway.errors import BadInput
from spillway.project import Project
from tests.support.aws import ROOT


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        ("rollback --list 1a2b", "RELEASE: has no effect with --list", "leave one of the two out"),
        ("rollback --list --dry-run", "--dry-run: has no effect with --list", "leave one of the two out"),
        (
            "deploy --print-policy --yes",
            "--yes: has no effect with --print-policy",
            "leave one of the two out",
        ),
        (
            "deploy --print-policy --param A=b",
            "--param: has no effect with --print-policy",
            "leave one of the two out",
        ),
        (
            "deploy --stage production --policy-part deploy",
            "--policy-part: has no effect without --print-policy",
            "leave --policy-part out",
        ),
        ("export A --csv --json", "--csv: has no effect with --json", "leave one of the two out"),
        ("shopper ada@example.com --yes", "--yes: goes with --erase", "add --erase, or leave --yes out"),
        (
            "suppressions lift ada@example.com --because x --shopper-asked",
            "--shopper-asked: goes with --complaint",
            "add --complaint, or leave it out",
        ),
    ],
)
def test_an_option_without_effect_is_refused_before_anything_is_done(
    words: str, said: str, hint: str
) -> None:
    with pytest.raises(BadInput) as refused:
        CliRunner().invoke(cli, words.split(), obj=Project(ROOT), catch_exceptions=False)
    assert (refused.value.message, refused.value.hint, refused.value.exit_code) == (said, hint, 2)
