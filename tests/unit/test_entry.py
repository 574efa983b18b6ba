from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.address import Address
from chalicelib.domain.entry import (
    SHARDS,
    Arrival,
    Entry,
    EntryState,
    Reaction,
    position_after_all,
    position_of,
    reaction_to,
    rejoins,
    shard_of,
    shards_of,
)

PENDING = Entry("ada", "A", "ada@example.com", EntryState.PENDING, signed_up_at_ms=1000, expires_at_s=5)
CONFIRMED = replace(PENDING, state=EntryState.CONFIRMED, expires_at_s=None)
QUIET = replace(CONFIRMED, arrival=Arrival.NEXT_RESTOCK, arrived_at_ms=9000)
PROMPT = replace(QUIET, arrival=Arrival.NOW)


def test_a_pending_entry_expires_before_its_row_is_deleted() -> None:
    assert not PENDING.expired(at_ms=4999)
    assert PENDING.expired(at_ms=5000)
    assert not CONFIRMED.expired(at_ms=10**15)


@pytest.mark.parametrize(
    ("before", "after", "reaction"),
    [
        (None, PENDING, Reaction.SEND_CONFIRMATION),
        (PENDING, replace(PENDING, signed_up_at_ms=2000), Reaction.SEND_CONFIRMATION),
        (
            replace(PENDING, state=EntryState.UNSUBSCRIBED),
            replace(PENDING, signed_up_at_ms=2000),
            Reaction.SEND_CONFIRMATION,
        ),
        (PENDING, replace(PENDING, mailbox="b@example.com"), None),
        (PENDING, CONFIRMED, Reaction.NOTIFY_IF_AVAILABLE),
        (None, CONFIRMED, Reaction.ACCEPT_SINGLE_OPT_IN),
        (
            replace(PENDING, state=EntryState.UNSUBSCRIBED),
            replace(CONFIRMED, signed_up_at_ms=2000),
            Reaction.ACCEPT_SINGLE_OPT_IN,
        ),
        (PENDING, replace(CONFIRMED, signed_up_at_ms=2000), Reaction.ACCEPT_SINGLE_OPT_IN),
        (CONFIRMED, CONFIRMED, None),
        (CONFIRMED, replace(CONFIRMED, signed_up_at_ms=2000), Reaction.SEND_ALREADY_WAITING),
        (replace(CONFIRMED, signed_up_at_ms=2000), CONFIRMED, None),
        (CONFIRMED, replace(CONFIRMED, state=EntryState.NOTIFIED), None),
        (CONFIRMED, replace(CONFIRMED, state=EntryState.UNSUBSCRIBED), None),
        (None, QUIET, None),
        (None, PROMPT, Reaction.NOTIFY_IF_AVAILABLE),
        (PENDING, QUIET, None),
        (PENDING, PROMPT, Reaction.NOTIFY_IF_AVAILABLE),
        (
            replace(QUIET, state=EntryState.UNSUBSCRIBED),
            replace(PROMPT, arrived_at_ms=9500),
            Reaction.NOTIFY_IF_AVAILABLE,
        ),
        (None, replace(QUIET, state=EntryState.PENDING), Reaction.SEND_CONFIRMATION),
        # Imported once, and signed up since: confirmed already, as anybody.
        (QUIET, replace(QUIET, signed_up_at_ms=9900), Reaction.SEND_ALREADY_WAITING),
        (replace(QUIET, state=EntryState.PENDING), QUIET, Reaction.NOTIFY_IF_AVAILABLE),
    ],
)
def test_each_write_of_an_entry_has_its_reaction(
    before: Entry | None, after: Entry, reaction: Reaction | None
) -> None:
    assert reaction_to(before, after) is reaction


def test_only_a_shopper_who_was_gone_joins_again() -> None:
    before = replace(PENDING, expires_at_s=2)
    assert rejoins(before, replace(PENDING, signed_up_at_ms=2000))
    assert not rejoins(before, replace(PENDING, signed_up_at_ms=1999))
    assert not rejoins(None, PENDING)
    assert not rejoins(replace(before, state=EntryState.UNSUBSCRIBED), replace(PENDING, signed_up_at_ms=2000))
    assert not rejoins(before, replace(CONFIRMED, signed_up_at_ms=2000))


def test_an_import_keeps_its_position_where_an_unconfirmed_signup_had_expired() -> None:
    before = replace(PENDING, expires_at_s=2)
    assert not rejoins(before, replace(QUIET, state=EntryState.PENDING, signed_up_at_ms=5000))
    assert rejoins(
        replace(QUIET, state=EntryState.PENDING, expires_at_s=2),
        replace(QUIET, state=EntryState.PENDING, signed_up_at_ms=5000),
    )


@given(st.integers(0, 10**13 - 2), st.integers(1, 10**6), st.text("abz27", min_size=3, max_size=3))
def test_places_sort_by_time_of_joining(at_ms: int, later_ms: int, shopper: str) -> None:
    later = min(at_ms + later_ms, 10**13 - 1)
    assert position_of(at_ms, "zzz") <= position_after_all(at_ms)
    assert position_of(at_ms, shopper) < position_of(later, shopper)
    assert position_after_all(at_ms) < position_of(later, shopper)


def test_equal_times_have_a_stable_order() -> None:
    assert position_of(1, "aaa") < position_of(1, "aab")


def test_a_line_is_spread_over_its_shards() -> None:
    shoppers = [Address(f"{n}@example.com", f"{n}@example.com").shopper_id(b"k") for n in range(4000)]
    counts = Counter(shard_of("A", shopper) for shopper in shoppers)
    assert set(counts) == set(shards_of("A"))
    assert max(counts.values()) < 1.3 * len(shoppers) / SHARDS
