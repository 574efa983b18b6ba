"""A merchant asks: who waits, how far emails are, what is stuck, how emails look."""

import csv
import re
from base64 import b64decode
from datetime import UTC, datetime
from email import message_from_bytes, policy
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.email import DeliveryOutcome
from chalicelib.domain.stock import Availability
from chalicelib.domain.wave import WavePolicy
from chalicelib.mail.smtp import message_of
from chalicelib.services.fan_out.report import fan_outs
from spillway.commands.waiting import _document as waves_document
from spillway.commands.waiting import _line as waves_line
from spillway.errors import BadInput
from spillway.merchant.email_previews import samples, with_pictures
from spillway.merchant.waitlist_report import (
    FORMULA_SIGNS,
    demand,
    document,
    in_line,
    safe_cell,
    write_csv,
)
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.shop import TestShop

SENT_AT_MS = 1_790_000_000_000


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


def states(shop: TestShop) -> list[Any]:
    return list(fan_outs(shop.sku, shop.products, shop.restocks, shop.progress, shop.shards, shop.rate_table))


def test_waves_show_emails_put_off_and_given_up(shop: TestShop) -> None:
    shop.join("ada", "bob", "cyd")
    shop.sender.deliveries["bob@example.com"] = DeliveryOutcome.DEFERRED
    shop.observe(Availability.IN_STOCK)
    shop.work_until(lambda: len(shop.sender.sent) == 2 and states(shop)[0].progress.deferred_now == 1)
    (state,) = states(shop)
    assert (state.waiting, state.progress.given_up) == (1, 0)
    assert "1 deferred" in waves_line(state)
    assert waves_document(state)["deferred"] == 1
    while shop.queue.messages:
        shop.sender.deliveries["bob@example.com"] = DeliveryOutcome.DEFERRED
        shop.work_once()
    (state,) = states(shop)
    assert (state.waiting, state.progress.deferred_now, state.progress.given_up) == (0, 0, 1)
    assert "1 given up" in waves_line(state)
    assert "1 deferred" not in waves_line(state)
    assert waves_document(state)["given_up"] == 1


def test_the_variant_with_the_most_people_waiting_comes_first(shop: TestShop) -> None:
    shop.join("ada", "bob")
    shop.clock.pass_s(2 * 24 * 3600)
    shop.join("cyd")
    shop.sku = "FJ-SLATE-M"
    shop.join("dan")
    heard: list[tuple[int, int]] = []
    found = demand(shop.products, shop.shards, at_ms=shop.clock(), progress=lambda *done: heard.append(done))
    assert [(item.sku, item.waiting, item.last_day) for item in found] == [
        ("FJ-MOSS-M", 3, 1),
        ("FJ-SLATE-M", 1, 1),
    ]
    assert heard[-1] == (4, 4)


def test_waves_say_how_far_they_are(shop: TestShop) -> None:
    assert states(shop) == []
    shop.join(*(f"s{number}" for number in range(12)))
    shop.observe(Availability.IN_STOCK)
    shop.work_until(lambda: len(shop.sender.sent) > 0)
    (state,) = states(shop)
    assert (state.live, state.progress.notified + state.waiting) == (True, 12)
    assert state.eta_s == state.waiting / 1000
    shop.work()
    shop.observe(Availability.OUT_OF_STOCK, units=0)
    shop.observe(Availability.IN_STOCK)
    newest, older = states(shop)
    assert (newest.live, newest.progress.notified, older.live, older.progress.notified) == (
        True,
        0,
        False,
        12,
    )
    shop.observe(Availability.OUT_OF_STOCK, units=0)
    assert [state.live for state in states(shop)] == [False, False]


def test_limited_waves_say_how_many_more_there_will_be(shop: TestShop) -> None:
    shop.join(*(f"s{number}" for number in range(12)))
    shop.policies.put("", WavePolicy(emails_per_unit=1, next_after_min=30))
    shop.observe(Availability.IN_STOCK, units=5)
    shop.work_until(lambda: len(shop.sender.sent) == 5)
    (state,) = states(shop)
    assert (state.waiting, state.further_waves) == (7, 2)
    assert state.eta_s == 7 / 1000 + 2 * 30 * 60


def test_paused_waves_say_so(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(Availability.IN_STOCK)
    shop.rate_limiter.batch_max(1)
    shop.rate_limiter.pause("complaints")
    (state,) = states(shop)
    assert (state.paused, state.eta_s) == ("complaints", None)


def test_everybody_on_the_waitlist_is_exported_in_order(shop: TestShop) -> None:
    names = [f"s{number:02}" for number in range(20)]
    shop.join(*names)
    file = StringIO(newline="")
    assert write_csv(in_line(shop.shards, shop.sku), file) == 20
    rows = list(csv.DictReader(StringIO(file.getvalue())))
    assert [row["address"] for row in rows] == [f"{name}@example.com" for name in names]
    assert rows[0]["position"] == "1"
    first = document(next(in_line(shop.shards, shop.sku)), 1)
    assert first["address"] == "s00@example.com"


@given(st.text())
def test_no_cell_begins_a_formula(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.startswith(FORMULA_SIGNS)
    assert cell.removeprefix("'") == text.removeprefix("'") or cell == text


def test_every_email_travels_whole(small_release: Release) -> None:
    made = list(samples(small_release, sku="FJ-SLATE-M", mailbox="ada@example.com", at_ms=SENT_AT_MS))
    assert [sample.name for sample in made] == [
        "confirm",
        "already",
        "available",
        "my-waitlists",
        "sign-in",
        "test",
        "available-preorder",
        "available-backorder",
    ]
    for sample in made:
        raw = message_of(
            sample.sender, sample.outgoing, message_id="m1@heron.example", sent_at=datetime.now(UTC)
        )
        assert len(raw) < 100_000
        assert max(len(line) for line in raw.split(b"\r\n")) <= 998
        read = message_from_bytes(raw, policy=policy.default)
        assert read.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
        assert read["Auto-Submitted"] == "auto-generated"
        assert read["Precedence"] is None
        assert read["Message-ID"] == "<m1@heron.example>"
        text, html = (part.get_content() for part in read.iter_parts())
        for words in (
            "3 Quay Street",
            "Heron" if sample.name in {"my-waitlists", "sign-in", "test"} else "Field Jacket",
        ):
            assert words in text
            assert words in html
        assert "<img" not in html or 'alt="' in html
        leaves = read["List-Unsubscribe"] is not None
        assert leaves is sample.name.startswith(("already", "available"))
        if leaves:
            assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
            assert read["List-Unsubscribe"].strip("<>") in text


def test_a_preview_has_its_pictures_in_it_and_what_travels_has_links(small_release: Release) -> None:
    made = {
        sample.name: sample.outgoing.email.html
        for sample in samples(small_release, sku="FJ-MOSS-M", mailbox="ada@example.com", at_ms=SENT_AT_MS)
    }
    html = made["available"]
    (address,) = re.findall(r'<img src="https://www\.heron\.example/([^"]+)"', html)
    picture = next(item for item in small_release.objects if item.key == address)

    shown = with_pictures(html, small_release)

    (data,) = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', shown)
    assert b64decode(data) == picture.read()
    assert shown.replace(f"data:image/jpeg;base64,{data}", f"https://www.heron.example/{address}") == html
    assert with_pictures(made["my-waitlists"], small_release) == made["my-waitlists"]


def test_a_sku_that_no_product_has_is_named(small_release: Release) -> None:
    with pytest.raises(BadInput, match="NOPE"):
        list(samples(small_release, sku="NOPE", mailbox="ada@example.com", at_ms=1))
