"""A demo and a Chromium for all tests of a folder that one worker runs; every window they open is watched."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from chalicelib.domain.entry import DAY_MS
from chalicelib.domain.tokens import FormTokens, Offer
from chalicelib.settings import clock_ms, read_keys
from spillway.local_cloud.shopper import ReceivedEmail, Shopper
from spillway.stage import stage_named
from tests.browser.watch import Watch
from tests.end_to_end.demo import DemoProcess, checkout, free_ports, open_demo
from tests.support.chromium import CHOICE, NO_BROWSER, Chromium, find

SEEN_WITHIN_MS = 15_000
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 800},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}

NewPerson = Callable[[str], Shopper]
NewWindow = Callable[..., BrowserContext]


@dataclass(frozen=True, slots=True)
class Post:
    """Emails that were sent already, so that their pages can be opened."""

    confirm: ReceivedEmail
    available: ReceivedEmail

    @property
    def confirm_link(self) -> str:
        """Leads to the button that has not been pressed."""
        return self.confirm.link("/api/confirm")

    @property
    def leave_link(self) -> str:
        """Leads to the button with which to leave."""
        return self.available.link("/api/unsubscribe")


@pytest.fixture(scope="package")
def chromium() -> Chromium:
    """The Chromium of this machine, or the fetched one."""
    found = find(os.environ.get(CHOICE))
    if found is None:
        pytest.skip(NO_BROWSER)
    return found


@pytest.fixture(scope="package")
def demo(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    """A demo that is open. Without a browser, none is started."""
    assert chromium
    with open_demo(checkout(tmp_path_factory.mktemp("checkout")), free_ports()) as running:
        yield running


@pytest.fixture(scope="package")
def browser(chromium: Chromium) -> Iterator[Browser]:
    """Chromium without a window of its own."""
    expect.set_options(timeout=SEEN_WITHIN_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(**chromium.launch_options())
        yield running
        running.close()


@pytest.fixture(scope="package")
def new_person(demo: DemoProcess) -> Iterator[NewPerson]:
    """Makes people with an address that nobody used before; their emails are in the demo's inbox."""
    numbers = count(1)
    with ExitStack() as open_:
        shop, inbox = (
            open_.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=30))
            for url in (demo.shop_url, demo.inbox_url)
        )
        yield lambda name: Shopper(name, f"{name.lower()}.{next(numbers)}@example.com", shop, inbox)


def signed_form_token(demo: DemoProcess, sku: str, *, days_ago: int = 0) -> str:
    """The form token of a page from when `sku` was sold out, as somebody's browser may have kept it."""
    stage = stage_named(demo.project, "local")
    keys = read_keys(stage.client("secretsmanager"), stage.outputs()["SigningKeysSecret"])
    return FormTokens.of(keys.identity, at_ms=clock_ms() - days_ago * DAY_MS).sign(Offer.of([sku]))


@pytest.fixture(scope="package")
def post(demo: DemoProcess, new_person: NewPerson) -> Post:
    """Dora is asked to confirm; Emil confirmed for a variant in stock, and was notified at once."""
    dora, emil = new_person("Dora"), new_person("Emil")
    for person, sku in ((dora, "FJ-MOSS-M"), (emil, "FJ-SAND-S")):
        form = {"email": person.mailbox, "sku": sku, "form_token": signed_form_token(demo, sku)}
        person.shop.post("/api/waitlist", data=form).raise_for_status()
    (asked,) = emil.awaits_emails(1)
    emil.presses(emil.opens(asked.link("/api/confirm")))
    return Post(dora.awaits_emails(1)[0], emil.awaits_emails(2)[1])


@pytest.fixture
def watch(demo: DemoProcess) -> Iterator[Watch]:
    """Records of the test's windows. At its end: nothing foreign was asked for, nothing went wrong unseen.

    A test that expects refusals takes them out of `refused` when it has checked them.
    """
    watching = Watch(email_pictures_from=demo.shop_url)
    yield watching
    assert watching.strangers == []
    assert watching.complaints == []
    assert watching.refused == [], demo.failures()


@pytest.fixture
def new_window(browser: Browser, demo: DemoProcess, watch: Watch) -> Iterator[NewWindow]:
    """Opens windows at the shop, with the options that a browser has for them."""
    windows: list[BrowserContext] = []

    def open_window(**options: Any) -> BrowserContext:
        window = browser.new_context(base_url=demo.shop_url, locale="en-GB", **options)
        window.set_default_timeout(SEEN_WITHIN_MS)
        watch.over(window)
        windows.append(window)
        return window

    yield open_window
    for window in windows:
        window.close()
