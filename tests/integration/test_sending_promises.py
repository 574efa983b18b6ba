"""Orders and bounds that sending rests on, each broken by one changed line."""

import json
from typing import Any

import pytest

from chalicelib.domain.email import DeliveryOutcome
from chalicelib.domain.stock import Availability
from chalicelib.domain.wave import EVERYONE, WaveMessage, WavePolicy
from chalicelib.mail.smtp import SEND_MS_MAX
from chalicelib.services.fan_out.rate_limiter import WAIT_MS_MAX
from chalicelib.services.fan_out.worker import LEASE_MS, WALK_MS_MAX
from spillway.sitegen.release import Release
from tests.support.aws import ROOT
from tests.support.clock import Clock
from tests.support.fakes import FakeWavesQueue
from tests.support.memory_shop import MemoryShop
from tests.support.shop import TestShop

ONE_EACH = WavePolicy(emails_per_unit=1, next_after_min=30)


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


def test_rejected_emails_use_up_no_units_of_a_limited_wave(shop: TestShop) -> None:
    names = [f"s{number}" for number in range(6)]
    shop.join(*names)
    for name in names[:2]:
        shop.sender.deliveries[f"{name}@example.com"] = DeliveryOutcome.REJECTED
    shop.policies.put("", ONE_EACH)
    shop.observe(Availability.IN_STOCK, units=3)
    shop.work_until(lambda: len(shop.sender.sent) >= 3)
    assert shop.sender.mailboxes() == ["s2@example.com", "s3@example.com", "s4@example.com"]
    assert shop.progress.wave(shop.sku).left == 0


def test_each_email_of_a_restock_bears_its_tag_that_feedback_comes_back_with(shop: TestShop) -> None:
    shop.join("ada", "ben")
    shop.observe(Availability.IN_STOCK, units=3)
    shop.work_until(lambda: len(shop.sender.sent) >= 2)
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    assert [outgoing.tags["restock"] for outgoing in shop.sender.sent] == [restock.tag, restock.tag]


@pytest.mark.parametrize(("policy", "steps"), [(EVERYONE, 8), (ONE_EACH, 1)])
def test_a_restock_is_written_down_before_its_first_step_is_queued(
    clock: Clock, policy: WavePolicy, steps: int
) -> None:
    shop = MemoryShop(clock)
    shop.policy = policy
    known: list[list[str]] = []

    class Queue(FakeWavesQueue):
        def put(self, message: WaveMessage, *, delay_s: int = 0) -> None:
            known.append([restock.id for restock in shop.opened()])

    shop.restocking._queue = Queue(clock)
    (restock,) = shop.observe(Availability.IN_STOCK)
    assert known == [[restock.id]] * steps


def test_a_lease_outlasts_every_function_that_could_hold_it() -> None:
    config: dict[str, Any] = json.loads((ROOT / ".chalice" / "config.json").read_text())
    timeouts_s = {config["lambda_timeout"]} | {
        function["lambda_timeout"]
        for stage in config.get("stages", {}).values()
        for function in (stage, *stage.get("lambda_functions", {}).values())
        if "lambda_timeout" in function
    }
    assert max(timeouts_s) == 20
    assert max(timeouts_s) * 1000 + 10_000 <= LEASE_MS
    # The last batch of a walk begins, waits for its turn and is sent, with time left for its marks.
    assert min(timeouts_s) * 1000 - 3_000 >= WALK_MS_MAX + WAIT_MS_MAX + SEND_MS_MAX
