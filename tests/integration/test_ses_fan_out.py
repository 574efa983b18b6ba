"""A whole fan-out through the SES adapter."""

from typing import Any

import pytest
from botocore.exceptions import (
    ReadTimeoutError,
)

from chalicelib.domain.email import (
    OutcomeUnknown,
)
from chalicelib.domain.entry import EntryState, shard_of, shards_of
from chalicelib.domain.stock import Availability
from chalicelib.mail.ses import BULK_EMAILS_MAX
from tests.support.clock import Clock
from tests.support.memory_shop import SKU, MemoryShop
from tests.support.ses_service import (
    Answer,
    SesService,
    address,
    refuse,
    sender,
)
from tests.support.shop_base import VISIBILITY_TIMEOUT_S

WAITERS = [
    name for name in (f"s{number:04}" for number in range(1_000)) if shard_of(SKU, name) == shards_of(SKU)[0]
][:BULK_EMAILS_MAX]


MAILBOXES = [f"{name}@example.com" for name in WAITERS]


@pytest.fixture
def fifty(ses: SesService, clock: Clock) -> MemoryShop:
    """A shop whose line of fifty makes one call."""
    shop = MemoryShop(clock)
    for name in WAITERS:
        shop.join(name)
        clock.pass_s(1)
    shop.sender.send = sender(ses).send  # type: ignore[method-assign]
    return shop


def notify_all(shop: MemoryShop, *expected: type[Exception]) -> None:
    """Open a restock and let workers work until nothing is left; those that fail as `expected` come again."""

    def failed(message: Any, error: BaseException) -> None:
        assert isinstance(error, expected), repr(error)
        shop.queue.put(message, delay_s=VISIBILITY_TIMEOUT_S)

    shop.observe(Availability.IN_STOCK)
    while shop.work(failed):
        if shop.paused:
            return


def calls(ses: SesService) -> list[list[str]]:
    """The addresses of each call."""
    return [list(map(address, request["BulkEmailEntries"])) for request in ses.requests]


def counters(shop: MemoryShop) -> tuple[int, int, int]:
    """The entries of the restock that were notified, rejected and unclear."""
    progress = shop.progress.of(shop.opened()[0].id, shards_of(SKU))
    return progress.notified, progress.rejected, progress.unclear


def states(shop: MemoryShop) -> set[EntryState]:
    return {entry.state for entry in shop.all_entries()}


def answers(*each: list[str]) -> Answer:
    """SES answers calls one after the other, and takes all after the last of these."""
    left = list(each)
    return lambda entries: left.pop(0) if left else ["SUCCESS"] * len(entries)


def one_of_fifty(status: str) -> list[str]:
    return [*["SUCCESS"] * 7, status, *["SUCCESS"] * 42]


@pytest.mark.parametrize(
    "status", ["ACCOUNT_THROTTLED", "ACCOUNT_DAILY_QUOTA_EXCEEDED", "TRANSIENT_FAILURE", "FAILED"]
)
def test_the_one_email_of_fifty_that_ses_defers_is_sent_again(
    ses: SesService, fifty: MemoryShop, status: str
) -> None:
    ses.answer = answers(one_of_fifty(status))
    notify_all(fifty)
    assert calls(ses) == [MAILBOXES, [MAILBOXES[7]]]
    assert counters(fifty) == (50, 0, 0)
    assert states(fifty) == {EntryState.NOTIFIED}


@pytest.mark.parametrize("status", ["MESSAGE_REJECTED", "INVALID_PARAMETER"])
def test_the_one_email_of_fifty_that_ses_rejects_is_never_sent_again(
    ses: SesService, fifty: MemoryShop, status: str
) -> None:
    ses.answer = answers(one_of_fifty(status))
    notify_all(fifty)
    assert calls(ses) == [MAILBOXES]
    assert counters(fifty) == (50, 1, 0)
    assert states(fifty) == {EntryState.NOTIFIED}


def test_a_call_that_is_rejected_for_one_email_alone_is_not_made_again(
    ses: SesService, fifty: MemoryShop
) -> None:
    for name in WAITERS[1:]:
        fifty.leave(name)
    ses.answer = refuse("MessageRejected")
    notify_all(fifty)
    assert calls(ses) == [MAILBOXES[:1]]
    assert counters(fifty) == (1, 1, 0)
    assert fifty.state(WAITERS[0]) is EntryState.NOTIFIED


def test_a_day_quota_that_ends_in_mid_call_leaves_the_rest_waiting_in_their_order(
    ses: SesService, fifty: MemoryShop
) -> None:
    full = ["ACCOUNT_DAILY_QUOTA_EXCEEDED"]
    ses.answer = answers(["SUCCESS"] * 20 + full * 30, full * 30, ["SUCCESS"] * 10 + full * 20)
    notify_all(fifty)
    assert calls(ses) == [MAILBOXES, MAILBOXES[20:], MAILBOXES[20:], MAILBOXES[30:]]
    assert counters(fifty) == (50, 0, 0)


@pytest.mark.parametrize(
    "status", ["ACCOUNT_SENDING_PAUSED", "ACCOUNT_SUSPENDED", "CONFIGURATION_SET_SENDING_PAUSED"]
)
def test_a_pause_of_ses_in_mid_call_pauses_the_shop_and_only_the_rest_is_sent_when_it_is_resumed(
    ses: SesService, fifty: MemoryShop, status: str
) -> None:
    ses.answer = answers(["SUCCESS"] * 20 + [status] * 30)
    notify_all(fifty)
    assert fifty.paused == status
    for _ in range(20):
        assert fifty.work(lambda message, error: pytest.fail(f"{message}: {error!r}"))
    assert calls(ses) == [MAILBOXES]
    assert fifty.rate_table.resume()
    while fifty.work(lambda message, error: pytest.fail(f"{message}: {error!r}")):
        pass
    assert calls(ses) == [MAILBOXES, MAILBOXES[20:]]
    assert states(fifty) == {EntryState.NOTIFIED}


def test_a_call_that_never_answers_is_made_twice_and_then_counted_as_unclear(
    ses: SesService, fifty: MemoryShop
) -> None:
    def never(_: list[dict[str, Any]]) -> list[str]:
        raise ReadTimeoutError(endpoint_url="https://ses")

    ses.answer = never
    notify_all(fifty, OutcomeUnknown)
    assert calls(ses) == [MAILBOXES, MAILBOXES]
    assert counters(fifty) == (50, 0, 50)
    assert states(fifty) == {EntryState.NOTIFIED}
