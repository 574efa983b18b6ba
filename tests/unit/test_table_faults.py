"""Tables when DynamoDB refuses, answers in parts, or others write at the same time."""

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.entry import REQUESTED_EMAILS_PER_DAY_MAX, Arrival, EmailClaim, Entry, EntryState
from chalicelib.domain.feedback import Feedback, FeedbackState
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.sending_limits import SendingRate
from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.domain.suppression import MailboxHistory, SuppressionReason
from chalicelib.tables.entries import EntriesTable, entry_from, is_entry
from chalicelib.tables.expressions import Attr
from chalicelib.tables.products import ProductsTable, RecentProducts, packed, stock_from, stocked_with
from chalicelib.tables.sending import LeasesTable
from chalicelib.tables.sending.deliverability import DeliverabilityTable, FeedbackConflict
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.shards import MARKS_MAX, MarksNotWritten, Notified, RestocksTable, ShardsTable
from chalicelib.tables.suppressions import SuppressionBusy, SuppressionsTable, history_of
from chalicelib.tables.table import Put, ReadByKey, Table, Update, batch_get
from tests.support.recorded_calls import Scripted, scripted

CONFIRMED = EntryState.CONFIRMED
ADA = Entry("ada", "A", "ada@example.com", CONFIRMED, 1, "1#ada")
NOTIFIED = [
    Notified(replace(ADA, shopper=name, position=f"1#{name}"), "accepted", f"m-{name}")
    for name in ("ada", "bob")
]


def error(code: str, *reasons: str | None) -> ClientError:
    answer: Any = {"Error": {"Code": code}}
    if reasons:
        answer["CancellationReasons"] = [{"Code": reason} if reason else {} for reason in reasons]
    return ClientError(answer, "Write")


def cancelled(*reasons: str | None) -> ClientError:
    return error("TransactionCanceledException", *reasons)


KEY = {"id": "1"}
IS_NEW = Attr("id").not_exists()
WRITES: dict[str, Any] = {
    "update_item": lambda client: Table(client, "t").update_if(KEY, IS_NEW, remove=["n"]),
    "delete_item": lambda client: Table(client, "t").delete_if(KEY, IS_NEW),
    "put_item": lambda client: Table(client, "t").put_if(KEY, IS_NEW),
}


def update(client: Any, number: int = 0) -> Update:
    return Update(Table(client, "t"), {"id": str(number)}, {"n": number})


def transact(client: Any, count: int = 1) -> tuple[str, ...]:
    return Table(client, "t").transact([update(client, number) for number in range(count)])


@pytest.mark.parametrize("method", WRITES)
def test_a_condition_that_does_not_hold_is_no_error_and_any_other_refusal_is(method: str) -> None:
    taken, refused = scripted({}), scripted(error("ConditionalCheckFailedException"))
    assert WRITES[method](taken) is True
    ((asked, request),) = taken.asked
    assert (asked, request["TableName"]) == (method, "t")
    assert request["Item" if method == "put_item" else "Key"] == {"id": {"S": "1"}}
    assert request["ConditionExpression"] == "attribute_not_exists(#id)"
    assert WRITES[method](refused) is False
    with pytest.raises(ClientError, match="AccessDenied"):
        WRITES[method](scripted(error("AccessDenied")))


@pytest.mark.parametrize(
    "reasons",
    [
        ("None", "ConditionalCheckFailed"),
        ("TransactionConflict",),
        ("ProvisionedThroughputExceeded", "ThrottlingError"),
    ],
)
def test_a_transaction_that_conflicts_names_its_reason(reasons: tuple[str, ...]) -> None:
    assert transact(scripted(cancelled(*reasons))) == reasons


def test_a_write_of_a_cancelled_transaction_without_a_reason_has_none_against_it() -> None:
    assert transact(scripted(cancelled("TransactionConflict", None)), 2) == (
        "TransactionConflict",
        "None",
    )


@pytest.mark.parametrize(
    "refusal",
    [
        error("ThrottlingException"),
        # The reasons count in a cancelled transaction only.
        error("ValidationException", "TransactionConflict"),
        cancelled(),
        cancelled("TransactionConflict", "ValidationError"),
        cancelled("ItemCollectionSizeLimitExceeded"),
    ],
)
def test_a_transaction_refused_for_a_reason_that_no_repeat_changes_raises(refusal: ClientError) -> None:
    with pytest.raises(ClientError) as raised:
        transact(scripted(refusal))
    assert raised.value is refusal


def test_a_transaction_that_is_done_has_no_reasons() -> None:
    done = scripted({})
    put = Put(Table(done, "u"), KEY)
    assert Table(done, "t").transact((update(done), put)) == ()
    items = [{"Update": update(done).request()}, {"Put": put.request()}]
    assert done.asked == [("transact_write_items", {"TransactItems": items})]


def test_statements_are_carried_out_25_at_a_time() -> None:
    first: dict[str, Any] = {"Responses": [{}] * 24 + [{"Error": {"Code": "ThrottlingError"}}]}
    done = scripted(first, {"Responses": [{}] * 25}, {"Responses": [{"Error": {}}]})
    updates = [update(done, number) for number in range(51)]
    statements = [write.statement() for write in updates]
    assert Table(done, "t").execute_each(statements) == ("",) * 24 + ("ThrottlingError",) + ("",) * 26
    parts = [statements[:25], statements[25:50], statements[50:]]
    assert done.asked == [("batch_execute_statement", {"Statements": part}) for part in parts]
    assert Table(done, "t").execute_each([]) == ()


def test_keys_that_were_left_over_are_read_again_and_no_others() -> None:
    keys = [{"id": {"S": "a"}}, {"id": {"S": "b"}}]
    reading = {
        "ConsistentRead": True,
        "ProjectionExpression": "#id, #n",
        "ExpressionAttributeNames": {"#id": "id", "#n": "n"},
    }
    rest = {"t": {"Keys": keys[1:], **reading}}
    reader = scripted(
        {"Responses": {"t": [{"n": {"N": "1"}}]}, "UnprocessedKeys": rest},
        {"Responses": {"t": [{"n": {"N": "2"}}]}, "UnprocessedKeys": {}},
    )
    read = ReadByKey(Table(reader, "t"), [{"id": "a"}, {"id": "b"}], ["id", "n"])
    assert batch_get(read) == ([{"n": 1}, {"n": 2}],)
    assert reader.asked == [
        ("batch_get_item", {"RequestItems": {"t": {"Keys": keys, **reading}}}),
        ("batch_get_item", {"RequestItems": rest}),
    ]


def test_keys_are_read_100_at_a_time() -> None:
    keys = [{"id": {"S": str(number)}} for number in range(201)]
    reader = scripted({"Responses": {"t": [{"n": {"N": "1"}}]}, "UnprocessedKeys": {}})
    found = Table(reader, "t").batch_get([{"id": str(number)} for number in range(201)], iter(["n"]))
    assert list(found) == [{"n": 1}] * 3
    asked = [request["RequestItems"]["t"] for _, request in reader.asked]
    assert [part["Keys"] for part in asked] == [keys[:100], keys[100:200], keys[200:]]
    assert {part["ProjectionExpression"] for part in asked} == {"#n"}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what the line sleeps: the least and the most of each pause."""
    monkeypatch.setattr("random.uniform", lambda least, most: (least, most))
    return []


PAUSES = [(0, 0.02 * 2**attempt) for attempt in range(8)]


def test_marks_in_a_transaction_are_tried_eight_times_with_growing_pauses(pauses: list[Any]) -> None:
    busy = scripted(cancelled("TransactionConflict", "None"))
    shards = ShardsTable(busy, "entries", "suppressions", sleep=pauses.append)
    with pytest.raises(MarksNotWritten, match=r"^2 marks$"):
        shards.mark_batch(NOTIFIED, restock_id="r", at_ms=1)
    assert pauses == PAUSES
    assert len(busy.asked) == 8


def test_marks_of_those_who_left_are_tried_without_a_pause(pauses: list[Any]) -> None:
    busy = scripted(cancelled("TransactionConflict", "ConditionalCheckFailed"), {})
    shards = ShardsTable(busy, "entries", "suppressions", sleep=pauses.append)
    assert shards.mark_batch(NOTIFIED, restock_id="r", at_ms=1) == 1
    assert pauses == []
    assert [len(request["TransactItems"]) for _, request in busy.asked] == [2, 1]
    assert busy.asked[1][1]["TransactItems"][0]["Update"]["Key"]["shopper"] == {"S": "ada"}


def test_marks_by_themselves_are_tried_eight_times_with_growing_pauses(pauses: list[Any]) -> None:
    busy = scripted({"Responses": [{"Error": {"Code": "ThrottlingError"}}]})
    shards = ShardsTable(busy, "entries", "suppressions", sleep=pauses.append)
    with pytest.raises(MarksNotWritten, match=r"^1 marks$"):
        shards.mark_each(NOTIFIED[:1], restock_id="r", at_ms=1)
    assert pauses == PAUSES
    assert len(busy.asked) == 8


def test_a_deferral_is_tried_eight_times_with_growing_pauses(pauses: list[Any]) -> None:
    # A condition of another write, which is not the entry's own, may hold the next time.
    busy = scripted(cancelled("None", "ConditionalCheckFailed"))
    shards = ShardsTable(busy, "entries", "suppressions", sleep=pauses.append)
    with pytest.raises(MarksNotWritten, match=r"^a deferral$"):
        shards.defer(ADA, restock_id="r", counting=[update(busy)])
    assert pauses == PAUSES
    assert len(busy.asked) == 8
    gone = scripted(cancelled("ConditionalCheckFailed", "None"))
    assert not ShardsTable(gone, "entries", "suppressions").defer(
        ADA, restock_id="r", counting=[update(gone)]
    )
    assert len(gone.asked) == 1


def test_no_marks_and_no_counts_are_no_transaction() -> None:
    unused = scripted({})
    assert ShardsTable(unused, "entries", "suppressions").mark_batch([], restock_id="r", at_ms=1) == 0
    assert unused.asked == []
    gone = scripted(cancelled("ConditionalCheckFailed", "ConditionalCheckFailed"))
    assert ShardsTable(gone, "entries", "suppressions").mark_batch(NOTIFIED, restock_id="r", at_ms=1) == 0
    assert len(gone.asked) == 1


def test_90_marks_and_counts_are_the_most_at_once() -> None:
    done = scripted({})
    shards = ShardsTable(done, "entries", "suppressions")
    assert (
        shards.mark_batch([NOTIFIED[0]] * (MARKS_MAX - 1), restock_id="r", at_ms=1, counting=[update(done)])
        == 89
    )
    with pytest.raises(ValueError, match=r"^90 marks at once, 90 is the most$"):
        shards.mark_batch([NOTIFIED[0]] * MARKS_MAX, restock_id="r", at_ms=1, counting=[update(done)])


def test_emails_asked_for_are_counted_twenty_times_at_most() -> None:
    class Busy(Scripted):
        def get_item(self, **request: Any) -> dict[str, Any]:
            return {"Item": {"times": {"S": "5"}}}

    busy: Any = Busy(error("ConditionalCheckFailedException"))
    with pytest.raises(RuntimeError, match=r"^counted at the same time by too many$"):
        EntriesTable(busy, "entries").count_requested_email("ada", at_ms=9)
    assert len(busy.asked) == 20


def test_the_last_email_that_may_be_asked_for_is_counted_and_the_next_is_not() -> None:
    times = [str(number) for number in range(1, REQUESTED_EMAILS_PER_DAY_MAX)]

    def count(*more: str) -> tuple[bool, list[str]]:
        asking = scripted({"Item": {"times": {"S": " ".join([*times, *more])}}})
        done = EntriesTable(asking, "entries").count_requested_email("ada", at_ms=99)
        return done, [method for method, _ in asking.asked]

    assert count() == (True, ["get_item", "update_item"])
    assert count("98") == (False, ["get_item"])


def test_a_claim_covers_what_is_as_new_as_it_and_not_its_own_message() -> None:
    mine = EmailClaim("ada", "B", {"B": 5, "C": 7})
    held = {
        '["ada","A",{"B":5}]': True,
        '["ada","A",{"B":6,"C":1}]': True,
        '["ada","A",{"B":4,"C":9}]': False,
        '["ada","A",{"C":9}]': False,
        '["ada","B",{"B":5,"C":7}]': False,
        '["eve","A",{"B":5,"C":7}]': False,
    }
    assert {text: mine.is_held(text) for text in held} == held
    gone = EmailClaim("ada", "B", {"C": 0, "D": 7})
    assert not gone.is_held('["ada","A",{"D":7}]')
    assert gone.is_held('["ada","A",{"C":0,"D":7}]')


def test_an_entry_of_few_attributes_and_one_of_all() -> None:
    few = {
        "shopper": {"S": "ada"},
        "sku": {"S": "A"},
        "mailbox": {"S": "ada@example.com"},
        "state": {"S": "unsubscribed"},
        "signed_up_at_ms": {"N": "5"},
    }
    left = Entry("ada", "A", "ada@example.com", EntryState.UNSUBSCRIBED, 5)
    assert entry_from(few) == left
    more = {
        "shard_position": {"S": "5#ada"},
        "expires_at_s": {"N": "6"},
        "page": {"S": "/de"},
        "arrival": {"S": "next_restock"},
        "arrived_at_ms": {"N": "7"},
        "consent": {"S": "c"},
        "source": {"S": "net4-x"},
    }
    assert entry_from({**few, **more}) == replace(
        left,
        position="5#ada",
        expires_at_s=6,
        page="/de",
        arrival=Arrival.NEXT_RESTOCK,
        arrived_at_ms=7,
        consent="c",
        source="net4-x",
    )
    assert is_entry(few)
    assert is_entry({**few, **more})
    assert not is_entry({name: few[name] for name in few if name != "mailbox"})
    assert not is_entry(None)


def test_a_mailbox_that_others_write_all_the_time_is_tried_twenty_times() -> None:
    class Busy(Scripted):
        def get_item(self, **request: Any) -> dict[str, Any]:
            return {}

    busy: Any = Busy(error("ConditionalCheckFailedException"))
    with pytest.raises(SuppressionBusy, match=r"^changed at the same time by too many$"):
        SuppressionsTable(busy, "suppressions").suppress("ada", reason="bounce", at_ms=7)
    assert len(busy.asked) == 20


@pytest.mark.parametrize(
    ("reason", "history"),
    [
        ("complaint", MailboxHistory(complained_at_ms=7)),
        ("complained", MailboxHistory(complained_at_ms=7)),
        ("blocked", MailboxHistory(blocked_at_ms=7)),
        ("unsubscribed", MailboxHistory(unsubscribed_at_ms=7)),
        ("bounce", MailboxHistory(bounced=frozenset({7}))),
        ("bounced_soft", MailboxHistory(bounced=frozenset({7}))),
    ],
)
def test_an_older_row_has_a_reason_and_a_time(reason: str, history: MailboxHistory) -> None:
    item = {"shopper": {"S": "ada"}, "reason": {"S": reason}, "since_ms": {"N": "7"}}
    older = scripted({"Item": item}, {})
    table = SuppressionsTable(older, "suppressions")
    assert table.history("ada") == history
    # The first write of it is made while it has no version yet.
    older.answers = [{"Item": {**item, "lifted_because": {"S": "x"}}}, {}]
    assert table.change("ada", lambda known: replace(known, retried_at_ms=9)).retried_at_ms == 9
    _, put = older.asked[-1]
    assert put["ConditionExpression"] == "attribute_not_exists(row_version)"
    assert "ExpressionAttributeValues" not in put
    assert (put["Item"]["row_version"], put["Item"]["lifted_because"]) == ({"N": "1"}, {"S": "x"})


def test_a_reason_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="'dislike' is not a valid SuppressionReason"):
        SuppressionsTable(scripted({}), "suppressions").suppress("ada", reason="dislike", at_ms=7)
    assert history_of(SuppressionReason.BOUNCED, 7) == MailboxHistory(bounced=frozenset({7}))


def test_a_change_of_nothing_writes_nothing() -> None:
    reader = scripted({})
    table = SuppressionsTable(reader, "suppressions")
    assert table.change("ada", lambda known: known, because="b") == MailboxHistory()
    assert [method for method, _ in reader.asked] == ["get_item"]


def test_a_count_that_conflicts_is_reported() -> None:
    bounced = Feedback(FeedbackState.BOUNCED, "m1", 5, "ada", "A", "tag")
    busy = scripted({}, cancelled("None", "TransactionConflict", "ThrottlingError"))
    with pytest.raises(FeedbackConflict, match=r"^None, TransactionConflict, ThrottlingError$"):
        DeliverabilityTable(busy, "entries", "sending").count(bounced, at_ms=9)
    known = scripted({}, cancelled("ConditionalCheckFailed", "None", "None"))
    assert not DeliverabilityTable(known, "entries", "sending").count(bounced, at_ms=9)


def test_a_lease_that_another_holds_is_not_taken() -> None:
    alone = scripted(error("ConditionalCheckFailedException"))
    together = scripted(cancelled("None", "TransactionConflict"))
    assert LeasesTable(alone, "sending").take(["A#1"], holder="w", at_ms=1, lease_ms=2) is False
    assert LeasesTable(together, "sending").take(["A#1", "A#2"], holder="w", at_ms=1, lease_ms=2) is False


def test_a_pace_of_one_attribute_has_nothing_of_the_others() -> None:
    def state(**item: Any) -> SendingRate | None:
        return SendingRateTable(scripted({"Item": item}), "sending").state()

    nothing = SendingRate(0.0, 0, 0, 0, None, {}, {}, {})
    assert state(id={"S": "sending-rate"}) == nothing
    assert state(rate_per_s={"N": "1.5"}) == replace(nothing, rate_per_s=1.5)
    assert state(emails_left={"N": "2"}) == replace(nothing, emails_left=2)
    assert state(ready_at_us={"N": "3"}) == replace(nothing, ready_at_us=3)
    assert state(read_at_ms={"N": "4"}) == replace(nothing, read_at_ms=4)
    assert state(paused={"S": "bounces"}) == replace(nothing, paused="bounces")
    assert state(hours={"M": {"5": {"N": "6"}}}) == replace(nothing, emails_by_hour={5: 6})
    assert state(earlier={"M": {"5": {"N": "6"}}}) == replace(nothing, earlier_by_hour={5: 6})
    assert state(days={"M": {"5": {"N": "6"}}}) == replace(nothing, emails_by_day={5: 6})


def test_a_hundred_products_are_the_most_of_one_transaction() -> None:
    stock = Stock(Availability.IN_STOCK, 1, 1, "e", 1)

    def observe(count: int) -> bool:
        observed = [(f"p{number}", "A", stock, stock) for number in range(count)]
        return ProductsTable(scripted({}), "products").observe_all(observed)

    assert observe(100)
    with pytest.raises(ValueError, match=r"^101 products, 100 is the most$"):
        observe(101)


def test_a_stock_of_few_attributes_and_one_of_all() -> None:
    few = {"availability": {"S": "InStock"}, "observed_at_ms": {"N": "5"}, "event_id": {"S": "e"}}
    more = {"units": {"N": "2"}, "version": {"N": "3"}, "seen": {"L": [{"S": "k1"}, {"S": "k2"}]}}
    assert stock_from({"stock": {"M": {"A": {"M": few}, "B": {"M": {**few, **more}}}}}) == {
        "A": Stock(Availability.IN_STOCK, None, 5, "e", 0, ()),
        "B": Stock(Availability.IN_STOCK, 2, 5, "e", 3, ("k1", "k2")),
    }
    assert stock_from({}) == {}


def test_an_older_restock_notifies_everyone_and_has_no_version() -> None:
    item = {
        "id": {"S": "r"},
        "slug": {"S": "hat"},
        "sku": {"S": "A"},
        "observed_at_ms": {"N": "1"},
        "opened_at_ms": {"N": "2"},
    }
    (restock,) = RestocksTable(scripted({"Items": [item]}), "restocks").newest("A", most=1)
    assert (restock.policy.emails_per_unit, restock.version, restock.units) == (None, 0, None)
    assert (restock.id, restock.slug, restock.sku) == ("r", "hat", "A")
    assert RestocksTable(scripted({"Items": []}), "restocks").live("A") is None


def test_a_packed_list_is_in_order_whatever_it_came_in() -> None:
    assert packed(["b.example", "a.example"]) == packed({"a.example", "b.example"})


def test_a_variant_that_left_its_product_is_sold_no_more() -> None:
    hat = StockedProduct(Product("hat", "Hat", "", "", "", (), (Variant("HAT", 1),)), {})

    class Products:
        def slug_of(self, sku: str) -> str | None:
            return {"HAT": "hat", "OLD": "hat", "CAP": "cap"}.get(sku)

        def get(self, slug: str) -> StockedProduct | None:
            assert slug in {"hat", "cap"}
            return hat if slug == "hat" else None

    found = [stocked_with(Products(), sku) for sku in ("HAT", "OLD", "CAP", "NONE")]
    assert found == [hat, None, None, None]


@pytest.mark.parametrize("method", ["slug_of", "get"])
def test_200_products_are_remembered_and_one_more_forgets_them(method: str) -> None:
    asked: list[str] = []

    class Products:
        def slug_of(self, sku: str) -> str | None:
            asked.append(sku)
            return None

        def get(self, slug: str) -> StockedProduct | None:
            asked.append(slug)
            return None

    recent = RecentProducts(Products(), lambda: 5)
    look = getattr(recent, method)
    for name in [*map(str, range(200))]:
        look(name)
    assert len(asked) == 200
    look("0")
    look("0")
    assert asked[200:] == ["0"]
