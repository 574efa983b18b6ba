"""Every `spillway` command of the docs, typed as it stands there, against a shop deployed to the local cloud.

A stage of that name is deployed and published by the commands of the README:
one variable of the environment makes the difference of the emulator from AWS.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spillway.__main__ import cli
from spillway.project import Project
from tests.end_to_end.demo import checkout
from tests.support.documents import spillway_commands

pytestmark = [pytest.mark.local_cloud, pytest.mark.slow]

# Commands that the local cloud cannot run, and the test that runs each otherwise.
ELSEWHERE = {
    "spillway load --stage production": "tests/unit/test_load_on_aws.py",  # nothing may be sent to AWS here
    # Other systems answer there, and DNS knows none of them here.
    "spillway webhooks": "tests/integration/test_webhooks_command.py",
    "spillway reconcile": "tests/integration/test_sources_command.py",
    "spillway sources account": "tests/integration/test_sources_command.py",
    "TrafficLogs=yes": "tests/contract/test_aws_rules.py",  # the emulator delivers no logs
    "traffic --since 1h --sql": "tests/unit/test_traffic_page.py",  # nobody visited this shop
    "spillway demo": "tests/end_to_end/test_demo.py",
    "MonthlyBudgetUsd=50": "tests/unit/test_runbooks.py",  # the emulator knows no budgets
    "--base-url": "tests/integration/test_agreement.py",  # the distribution here has another name
}
# These go on for a long time as they stand.
SHORTENED = {"--minutes 120": "--minutes 0"}
# These say by their status that something needs a person; on a laptop, something always does.
MAY_END_WITH_1 = ("doctor", "preflight", "status")
STAGE = " --stage production"
WITHOUT_A_STAGE = ("build ", "emails ", "theme ")
# A campaign of another kind, without a number of visitors.
WITHOUT_VISITORS = ("--trace", "--story")
DEPLOYED_BY = (
    "deploy --stage production --param SenderAddress=hello@shop.example --param SenderIdentity=shop.example"
    " --param DomainName=www.shop.example"
    " --param CertificateArn=arn:aws:acm:us-east-1:123456789012:certificate/1"
)


def commands() -> list[str]:
    texts = dict.fromkeys(shlex.join(words) for words in spillway_commands())
    return [text for text in texts if not any(part in text for part in ELSEWHERE)]


def as_typed(text: str) -> str:
    """A command of the docs, for the shop of this test, with so many visitors that it is seen to work."""
    typed = f"{text.removeprefix('spillway ')} "
    for long, short in SHORTENED.items():
        typed = typed.replace(long, short)
    if typed.startswith("preflight"):
        has_visitors = any(option in typed for option in WITHOUT_VISITORS)
        return typed if has_visitors else f"{typed} --visitors 5000 --over 5m"
    if "--stage" in typed or typed.startswith(WITHOUT_A_STAGE):
        return typed
    return f"{typed}{STAGE}"  # the README speaks to the demo


class Shop:
    """A checkout, and a terminal in it."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def typed(self, text: str) -> Result:
        """Type a command; every question is answered with yes."""
        return CliRunner().invoke(cli, shlex.split(text), obj=self.project, input="y\ny\n")


@pytest.fixture(scope="module")
def shop(local_cloud_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop that is deployed as `production`, published, and destroyed at the end, with its data."""
    made = Shop(checkout(tmp_path_factory.mktemp("checkout")))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", local_cloud_url)
        environment.chdir(made.project.root)
        (made.project.root / "visitors.csv").write_text("second,visitors\n0,10\n60,20\n")
        suppressed = "Email,Reason,Date\nada@example.com,HARD_BOUNCE,2026-11-01\n"
        (made.project.root / "suppressed.csv").write_text(suppressed)
        site = made.project.site / "site.toml"
        site.write_text(site.read_text().replace("ordinaryweather.example", "shop.example"))
        about = made.project.site / "pages" / "about.md"
        for text in (DEPLOYED_BY, "publish --stage production", "publish --stage production"):
            ended = made.typed(text)
            assert ended.exit_code == 0, ended.output
            about.write_text(about.read_text() + "\nOne thing more.\n")  # a release to roll back from
        yield made
        ended = made.typed("destroy --stage production --with-data --yes-destroy production")
        assert ended.exit_code == 0, ended.output


@pytest.mark.parametrize("text", commands())
def test_a_documented_command_does_what_it_says_on_the_local_cloud(shop: Shop, text: str) -> None:
    typed = as_typed(text)
    ended = shop.typed(typed)
    allowed = {0, 1} if typed.startswith(MAY_END_WITH_1) else {0}
    assert ended.exit_code in allowed, f"{ended.output}{ended.exception!r}"
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception


def test_commands_run_by_another_test_are_in_the_docs_and_that_test_exists() -> None:
    documented = [shlex.join(words) for words in spillway_commands()]
    for part, where in ELSEWHERE.items():
        assert any(part in text for text in documented), part
        assert (Path(__file__).parents[2] / where).is_file()
