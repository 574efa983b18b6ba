"""Shoppers who followed a link to one product, as Locust runs them.

By hand, against a running demo, with charts at http://127.0.0.1:8089:

    .venv/bin/python -m locust -f loadtests/locustfile.py --host http://127.0.0.1:8000 --web-host 127.0.0.1

Workers, of this machine or of others (--worker --master-host ADDRESS), send the lines of the ledger to the
one that leads them.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import gevent
from locust import FastHttpUser, LoadTestShape, between, events, task
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtests.guard import own_base_url, require_own
from loadtests.ledger import Ledger, Line
from loadtests.pages import PageRead, read_page
from loadtests.retry import TRANSIENT, asked_for_s, pauses_s
from loadtests.shapes import Shape, phase_at
from spillway.errors import BadInput
from spillway.local_cloud.shopper import ACCEPT, FORM_TYPE
from spillway.project import Project

PATIENCE_S = 30.0
EVERYTHING = "/shop/all"
NUMBERS = count(1)
FORM = "form"
OWN = own_base_url(Project.find(Path.cwd()).site)


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """Add the flood's options to Locust's own."""
    parser.add_argument("--landing", default="/products/field-jacket", help="The page everybody was sent to.")
    parser.add_argument("--ledger", default="", help="A file for what was accepted; none when not given.")
    parser.add_argument("--shape", default=Shape.SPIKE, choices=list(Shape), help="How the shoppers come.")
    parser.add_argument("--seed", type=int, default=1, help="What shoppers choose is thrown with it.")
    parser.add_argument("--scale", type=int, default=1, help="So many times the shoppers.")
    parser.add_argument(
        "--mailbox-prefix", default=uuid4().hex[:8], help="What this run's addresses begin with."
    )
    parser.add_argument("--mailbox-domain", default="example.com", help="What they end with.")


@events.init.add_listener
def refuse_other_machines(environment: Environment, **_: Any) -> None:
    """Before anything is sent. Without a host yet, the form in the browser asks for one."""
    if environment.host or _options(environment).headless:
        try:
            require_own(environment.host, OWN)
        except BadInput as refused:
            sys.stderr.write(f"{refused.message}\n  {refused.hint}\n")
            sys.exit(refused.exit_code)


@events.init.add_listener
def gather_forms(environment: Environment, **_: Any) -> None:
    """Record the outcome of the workers' forms in the master process."""
    ledger = _options(environment).ledger
    if ledger and isinstance(environment.runner, MasterRunner):
        book = Ledger(Path(ledger))
        environment.runner.register_message(FORM, lambda msg, **_: book.write(Line.of(msg.data)))


class Flood(LoadTestShape):
    """The number of shoppers over time, by the chosen shape."""

    def tick(self) -> tuple[int, float] | None:
        """Return the number of shoppers at this time, and the number that may start in a second."""
        assert self.runner is not None, "Locust sets it before it asks"
        options = _options(self.runner.environment)
        phase = phase_at(Shape(options.shape), self.get_run_time(), scale=options.scale)
        return (phase.shoppers, phase.arrivals_per_s) if phase else None


class Shopper(FastHttpUser):
    """One visitor after another. Most look; some wait for what is sold out; a few mistype."""

    wait_time = between(1, 5)
    network_timeout = connection_timeout = PATIENCE_S

    def __init__(self, environment: Environment) -> None:
        # The form in the browser can name a host, too.
        self.host = require_own(environment.host, OWN)
        super().__init__(environment)
        options = _options(environment)
        self._landing: str = options.landing
        self._ledger = Ledger(Path(options.ledger)) if options.ledger else None
        self._mailbox = (options.mailbox_prefix, options.mailbox_domain)
        # Each shopper has its own random numbers: one seed, the same choices, in any order of arrival.
        worker = getattr(environment.runner, "worker_index", 0)
        self._random = Random(f"{options.seed}.{worker}.{next(NUMBERS)}")
        self._seen: set[str] = set()
        self._form_token = ""

    @task(5)
    def looks_and_leaves(self) -> None:
        """Most people."""
        self._arrives()

    @task(3)
    def reads_on(self) -> None:
        """Scrolls down: the pictures further below are fetched, too."""
        page = self._arrives()
        if page:
            self.wait()
            self._fetches("pictures", page.pictures)

    @task(2)
    def browses(self) -> None:
        """Goes on to the product's category, and home."""
        page = self._arrives()
        for name, path in (("category", _category(page)), ("home", "/")) if page else ():
            self.wait()
            self._opens(path, name)

    @task(4)
    def signs_up(self) -> None:
        """Wants one of the variants that are sold out."""
        page = self._arrives()
        if page and page.awaited_skus:
            self.wait()
            self._asks(self._new_mailbox(), self._random.choice(page.awaited_skus), "sign up")

    @task(1)
    def signs_up_twice(self) -> None:
        """Is not sure whether it worked."""
        page = self._arrives()
        if page and page.awaited_skus:
            mailbox, sku = self._new_mailbox(), self._random.choice(page.awaited_skus)
            for name in ("sign up", "sign up again"):
                self.wait()
                self._asks(mailbox, sku, name)

    @task(1)
    def mistypes_the_address(self) -> None:
        """Is refused, looks again, and gets it right."""
        page = self._arrives()
        if page and page.awaited_skus:
            mailbox, sku = self._new_mailbox(), self._random.choice(page.awaited_skus)
            self.wait()
            self._asks(mailbox.removesuffix(".com"), sku, "mistyped address", expected=400)
            self.wait()
            self._asks(mailbox, sku, "sign up")

    def _arrives(self) -> PageRead | None:
        """Return a new person with an empty cache; None when the page did not come."""
        self._seen.clear()
        return self._opens(self._landing, "product page")

    def _opens(self, path: str, name: str) -> PageRead | None:
        answer = self.client.get(path, name=name, headers={"Accept": ACCEPT}, allow_redirects=False)
        if answer.status_code != 200:
            return None
        page = read_page(answer.text or "")
        self._form_token = page.form_token or self._form_token
        self._fetches("stylesheet", page.stylesheets)
        self._fetches("script", page.scripts)
        self._fetches("pictures", page.pictures[:1])
        return page

    def _fetches(self, name: str, paths: tuple[str, ...]) -> None:
        """Several at a time, as browsers do, and nothing that is in the cache."""
        wanted = [path for path in dict.fromkeys(paths) if path not in self._seen]
        self._seen.update(wanted)
        fetch = partial(self.client.get, name=name, allow_redirects=False)
        gevent.joinall([gevent.spawn(fetch, path) for path in wanted])

    def _asks(self, mailbox: str, sku: str, name: str, *, expected: int = 202) -> None:
        """Send the form, again and again while the shop is too busy, and write down how it ended."""
        answers = {
            "email": mailbox,
            "sku": sku,
            "page": self._landing,
            "form_token": self._form_token,
            "knot": "",
        }
        form = urlencode(answers)
        statuses: list[int] = []
        asked_s, at_s = 0.0, time.monotonic()
        try:
            for pause_s in pauses_s(self._random):
                gevent.sleep(asked_s + pause_s)
                status, asked_s = self._sends(form, name, expected)
                statuses.append(status)
                if status not in TRANSIENT:
                    break
        finally:  # also of who is called away in the middle of it
            self._writes_down(Line(mailbox, sku, tuple(statuses), at_s))

    def _writes_down(self, line: Line) -> None:
        if isinstance(self.environment.runner, WorkerRunner):
            self.environment.runner.send_message(FORM, asdict(line))
        elif self._ledger:
            self._ledger.write(line)

    def _sends(self, form: str, name: str, expected: int) -> tuple[int, float]:
        """Send a form once. Returns the answer's status, and how long it asks to wait before another try."""
        headers = {"Accept": "application/json", "Content-Type": FORM_TYPE, "Origin": self.host}
        with self.client.post(
            "/api/waitlist",
            data=form,
            name=name,
            headers=headers,
            allow_redirects=False,
            catch_response=True,
        ) as answer:
            if answer.status_code == expected:
                answer.success()
            else:
                answer.failure(f"answered with {answer.status_code} instead of {expected}")
            return answer.status_code, asked_for_s(answer.headers)

    def _new_mailbox(self) -> str:
        prefix, domain = self._mailbox
        return f"{prefix}.{uuid4().hex[:12]}@{domain}"


def _category(page: PageRead) -> str:
    listings = (link for link in page.links if link.startswith("/shop/") and link != EVERYTHING)
    return next(listings, EVERYTHING)


def _options(environment: Environment) -> Namespace:
    options: Namespace | None = environment.parsed_options
    assert options is not None, "Locust parses them before all else"
    return options
