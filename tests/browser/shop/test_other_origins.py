"""A page of another origin in the developer's browser: it reads nothing of a demo, and changes nothing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from spillway.local_cloud import processes
from spillway.local_cloud.servers import served
from spillway.stage import Stage, stage_named
from tests.browser.conftest import NewPerson
from tests.end_to_end.demo import DemoProcess
from tests.support.chromium import Chromium

pytestmark = [pytest.mark.browser, pytest.mark.local_cloud]

REBOUND = "rebound.example"
CREATE_FUNCTION = json.dumps(
    {"FunctionName": "evil", "Role": "arn:aws:iam::000000000000:role/x", "Code": {"ZipFile": "UEsFBg=="}}
)
FORGED_EMAIL = json.dumps(
    {
        "FromEmailAddress": "hello@fieldnotes.example",
        "Destination": {"ToAddresses": ["forged@example.com"]},
        "Content": {"Simple": {"Subject": {"Data": "forged"}, "Body": {"Text": {"Data": "forged"}}}},
    }
)
# Each request as a page can make it: readable, unreadable, with a body that needs no permission.
ATTACK = """async (attacks) => {
  const answers = [];
  for (const [url, method, body] of attacks) {
    for (const mode of ["cors", "no-cors"]) {
      try {
        const answer = await fetch(url, {method, mode, body, headers: {"Content-Type": "text/plain"}});
        if (answer.type !== "opaque" && answer.status < 400) answers.push(`${mode} ${method} ${url}`);
      } catch (refused) { /* nothing came back */ }
    }
  }
  return answers;
}"""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A page of another site: `localhost` is none of the demo's origins."""
    app = Starlette(routes=[Route("/", lambda _: HTMLResponse("<!doctype html><title>Elsewhere</title>"))])
    with processes.claim_port(0, "a page elsewhere") as claimed, served(app, claimed):
        yield f"http://localhost:{claimed.getsockname()[1]}/"


@pytest.fixture
def rebound(browser: Browser, chromium: Chromium) -> Iterator[Browser]:
    """A browser whose resolver was made to believe that a stranger's name is this machine."""
    rules = f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"
    misled = browser.browser_type.launch(**chromium.launch_options(rules))
    yield misled
    misled.close()


def attacks(host: str, port: int) -> list[list[str | None]]:
    """Requests worth trying at the shop, the inbox and the cloud of a demo."""
    shop, inbox, cloud = (f"http://{host}:{port + offset}" for offset in range(3))
    form = "email=evil@example.com&sku=FJ-INK-L&page=/products/field-jacket"
    return [
        [f"{shop}/", "GET", None],
        [f"{shop}/api/waitlist", "POST", form],
        [f"{inbox}/", "GET", None],
        [f"{inbox}/emails.json", "GET", None],
        [f"{inbox}/emails/1.json", "GET", None],
        [f"{inbox}/v2/email/outbound-emails", "POST", FORGED_EMAIL],
        [f"{cloud}/2015-03-31/functions", "GET", None],
        [f"{cloud}/2015-03-31/functions", "POST", CREATE_FUNCTION],
        [f"{cloud}/_ministack/ses/messages", "GET", None],
        [f"{cloud}/_ministack/reset", "POST", ""],
    ]


def all_there_is(stage: Stage, demo: DemoProcess, new_person: NewPerson) -> dict[str, Any]:
    """Functions, entries and emails of the demo."""
    functions = stage.client("lambda").list_functions()["Functions"]
    entries = stage.client("dynamodb").scan(TableName=stage.outputs()["EntriesTable"])["Items"]
    listed = new_person("Onlooker").inbox.get(f"{demo.inbox_url}/emails.json").json()
    return {
        "functions": sorted(function["FunctionName"] for function in functions),
        "addresses": sorted(entry["mailbox"]["S"] for entry in entries if "mailbox" in entry),
        "emails": [email["number"] for email in listed if "forged" in json.dumps(email)],
    }


def test_a_page_of_another_site_reads_nothing_and_changes_nothing(
    demo: DemoProcess, browser: Browser, elsewhere: str, new_person: NewPerson
) -> None:
    stage = stage_named(demo.project, "local")
    before = all_there_is(stage, demo, new_person)
    page = browser.new_page()
    page.goto(elsewhere)
    assert page.evaluate(ATTACK, attacks("127.0.0.1", demo.port)) == []
    page.close()
    assert all_there_is(stage, demo, new_person) == before


def test_a_rebound_name_reads_nothing_and_changes_nothing(
    demo: DemoProcess, rebound: Browser, new_person: NewPerson
) -> None:
    stage = stage_named(demo.project, "local")
    before = all_there_is(stage, demo, new_person)
    for offset in range(3):
        page = rebound.new_page()
        answer = page.goto(f"http://{REBOUND}:{demo.port + offset}/")
        assert answer is not None
        assert answer.status == 421
        # For the browser it has the same origin as that server: it may read whatever it is answered.
        assert page.evaluate(ATTACK, attacks(REBOUND, demo.port)) == []
        page.close()
    assert all_there_is(stage, demo, new_person) == before
