"""Single opt-in: a signup counts at once, and nobody can have somebody mailed without end."""

import pytest

from chalicelib.domain.entry import Entry, EntryState
from chalicelib.services.fan_out.restocking import Restocking, SingleOptIn
from chalicelib.tables.entries import EntriesTable
from tests.support.clock import Clock
from tests.support.log_lines import logged

ENTRY = Entry("ada", "A", "ada@example.com", EntryState.CONFIRMED, 1, "0000000000001#ada")


class CountingEntries(EntriesTable):
    """Answers the day's count that a test sets, and keeps who unsubscribed."""

    def __init__(self, *, used_up: bool) -> None:
        self._used_up = used_up
        self.counted: list[Entry] = []
        self.left: list[tuple[str, str, int]] = []

    def count_single_opt_in(self, entry: Entry) -> bool:
        self.counted.append(entry)
        return not self._used_up

    def unsubscribe(self, shopper: str, sku: str, *, at_ms: int) -> Entry | None:
        self.left.append((shopper, sku, at_ms))
        return ENTRY


class Welcomes(Restocking):
    """Keeps who was welcomed."""

    def __init__(self) -> None:
        self.welcomed: list[tuple[str, str, int]] = []

    def notify_if_available(self, shopper: str, sku: str, *, at_ms: int) -> None:
        self.welcomed.append((shopper, sku, at_ms))


@pytest.mark.parametrize("used_up", [False, True])
def test_an_address_signed_up_too_often_today_does_not_wait(
    clock: Clock, used_up: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    entries, restocking = CountingEntries(used_up=used_up), Welcomes()
    SingleOptIn(entries, restocking, clock).accept(ENTRY)
    ada = [("ada", "A", clock())]
    assert entries.counted == [ENTRY]
    assert (entries.left, restocking.welcomed) == ((ada, []) if used_up else ([], ada))
    said = {"event": "single_opt_ins_of_the_day_used_up", "shopper": "ada", "sku": "A"}
    assert logged(capsys) == ([said] if used_up else [])
