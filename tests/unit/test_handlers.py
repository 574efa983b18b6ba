"""Reactions to streams and queues, from the very records that Lambda hands over."""

import json
import random
from typing import Any

import pytest

import app as cloud
from chalicelib import events
from chalicelib.batches import FirstRecordFailed, react_to_queue, react_to_stream
from chalicelib.container import Container
from chalicelib.domain.email import RequestedEmail, SendRefusal, SendRefused
from chalicelib.domain.entry import EntryState
from chalicelib.domain.reports import RestockRef
from chalicelib.domain.stock import Availability, Restock, Stock
from chalicelib.domain.wave import NotifyOne, ShardStep, to_json
from chalicelib.settings import clock_ms
from chalicelib.tables.entries import entry_from
from tests.support.containers import container_with


def entry_image(state: EntryState, signed_up_at_ms: int = 1) -> dict[str, Any]:
    return {
        "shopper": {"S": "ada-id"},
        "sku": {"S": "A"},
        "mailbox": {"S": "ada@example.com"},
        "state": {"S": state},
        "signed_up_at_ms": {"N": str(signed_up_at_ms)},
    }


def product_image(stock: Stock) -> dict[str, Any]:
    return {
        "id": {"S": "product#jacket"},
        "stock": {
            "M": {
                "A": {
                    "M": {
                        "availability": {"S": stock.availability},
                        "units": {"N": str(stock.units)},
                        "observed_at_ms": {"N": str(stock.observed_at_ms)},
                        "event_id": {"S": stock.event_id},
                    }
                }
            }
        },
    }


def stream_event(*changes: tuple[dict[str, Any] | None, dict[str, Any]]) -> dict[str, Any]:
    records = []
    for number, (before, after) in enumerate(changes):
        change: dict[str, Any] = {
            "Keys": {key: after[key] for key in ("id", "shopper", "sku") if key in after},
            "NewImage": after,
            "SequenceNumber": f"s{number}",
            "ApproximateCreationDateTime": 7.0,
        }
        if before is not None:
            change["OldImage"] = before
        records.append({"eventID": f"e{number}", "eventName": "MODIFY", "dynamodb": change})
    return {"Records": records}


def queue_event(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": f"m{number}", "receiptHandle": f"r{number}", "body": body}
            for number, body in enumerate(bodies)
        ]
    }


class Heard:
    """Stands for any service: writes down what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self.calls.append((name, *args, *kwargs.values()))


@pytest.fixture
def heard() -> Heard:
    """Every service, listening."""
    return Heard()


@pytest.fixture(autouse=True)
def container(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> Container:
    """A container of the services that `heard` stands for."""
    container = container_with()
    services = ("single_opt_in", "fan_out", "page_refresh", "restocking", "confirmations")
    stores = ("confirmations_queue", "entries", "progress")
    vars(container).update(dict.fromkeys(services + stores, heard))
    vars(container)["report_rows"] = Heard()
    monkeypatch.setattr(cloud, "container", container)
    return container


def test_a_restock_is_noted_for_the_reports(container: Container) -> None:
    before = product_image(Stock(Availability.OUT_OF_STOCK, 0, 1, "e1"))
    after = product_image(Stock(Availability.IN_STOCK, 5, 2, "e2"))
    answer = cloud.on_product_changed(stream_event((before, after)), None)
    assert failures(answer) == []
    noted: Any = container.report_rows
    assert noted.calls == [("note", RestockRef("A:0:e2", "A", "jacket", 7_999))]


def failures(answer: Any) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_a_pending_entry_is_queued_to_be_asked(heard: Heard) -> None:
    answer = cloud.on_entry_written(stream_event((None, entry_image(EntryState.PENDING))), None)
    assert failures(answer) == []
    assert heard.calls == [("put", "ada-id", "A")]


def test_a_confirmed_entry_is_welcomed(heard: Heard, container: Container) -> None:
    container.clock_ms = lambda: 5
    change = (entry_image(EntryState.PENDING), entry_image(EntryState.CONFIRMED))
    cloud.on_entry_written(stream_event(change), None)
    assert heard.calls == [("notify_if_available", "ada-id", "A", 5)]


def test_a_confirmation_that_lifts_a_suppression_lifts_it_before_anything_is_sent(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, container: Container
) -> None:
    container.clock_ms = lambda: 5
    vars(container)["suppressions"] = heard
    monkeypatch.setattr(
        events, "lift_confirmed", lambda table, shopper, at_ms: heard.lift(table is heard, shopper, at_ms)
    )
    confirmed = {**entry_image(EntryState.CONFIRMED), "retried_at_ms": {"N": "4"}}
    cloud.on_entry_written(stream_event((entry_image(EntryState.PENDING), confirmed)), None)
    assert heard.calls == [("lift", True, "ada-id", 5), ("notify_if_available", "ada-id", "A", 5)]


def test_an_unsubscribe_after_an_email_is_counted_for_its_restock(heard: Heard, container: Container) -> None:
    container.clock_ms = lambda: 5
    notified = {**entry_image(EntryState.NOTIFIED), "restock_id": {"S": "r1"}}
    cloud.on_entry_written(stream_event((notified, entry_image(EntryState.UNSUBSCRIBED))), None)
    waiting = (entry_image(EntryState.CONFIRMED), entry_image(EntryState.UNSUBSCRIBED))
    cloud.on_entry_written(stream_event(waiting), None)
    assert heard.calls == [("count_unsubscribed", "r1", 5)]


def test_an_entry_confirmed_without_an_email_is_admitted(heard: Heard) -> None:
    cloud.on_entry_written(stream_event((None, entry_image(EntryState.CONFIRMED))), None)
    ((name, entry),) = heard.calls
    assert (name, entry.shopper, entry.sku) == ("accept", "ada-id", "A")


def test_a_shopper_who_signs_up_after_being_gone_joins_again_and_then_is_asked(heard: Heard) -> None:
    gone = {**entry_image(EntryState.PENDING), "expires_at_s": {"N": "2"}}
    again = entry_image(EntryState.PENDING, signed_up_at_ms=2000)
    cloud.on_entry_written(stream_event((gone, again)), None)
    assert [call[0] for call in heard.calls] == ["rejoin", "put"]


def test_asking_again_for_a_confirmed_entry_sets_it_back_and_queues_an_email(heard: Heard) -> None:
    before = entry_image(EntryState.CONFIRMED)
    again = {**entry_image(EntryState.CONFIRMED, signed_up_at_ms=2000), "source": {"S": "net4-x"}}
    assert failures(cloud.on_entry_written(stream_event((before, again)), None)) == []
    assert heard.calls == [
        ("keep", entry_from(before), entry_from(again)),
        ("put_already_waiting", "ada-id", "A", "net4-x"),
    ]
    heard.calls.clear()
    # Setting it back is a change as well, and asks for nothing.
    assert failures(cloud.on_entry_written(stream_event((again, before)), None)) == []
    assert heard.calls == []


def test_the_email_that_somebody_is_on_the_list_reaches_its_service(heard: Heard) -> None:
    body = RequestedEmail("ada-id", "A", already=True, source="net4-x").to_json()
    cloud.send_confirmations(queue_event(body), None)
    assert heard.calls == [("send_already_waiting", "ada-id", "A", "net4-x"), ("delete", "r0")]


def test_a_notified_entry_sets_nothing_off(heard: Heard) -> None:
    change = (entry_image(EntryState.CONFIRMED), entry_image(EntryState.NOTIFIED))
    cloud.on_entry_written(stream_event(change), None)
    assert heard.calls == []


def test_a_restock_turns_the_page_and_then_opens_waves(heard: Heard) -> None:
    sold_out = Stock(Availability.OUT_OF_STOCK, 0, 1, "e1")
    back = Stock(Availability.IN_STOCK, 5, 2, "e2")
    cloud.on_product_changed(stream_event((product_image(sold_out), product_image(back))), None)
    assert heard.calls == [
        ("refresh", "jacket", "e0"),
        ("open_restock", Restock("A:0:e2", "jacket", "A", 5, 2, 7999)),
    ]


def test_sold_out_turns_the_page_and_opens_nothing(heard: Heard) -> None:
    back = Stock(Availability.IN_STOCK, 5, 1, "e1")
    sold_out = Stock(Availability.OUT_OF_STOCK, 0, 2, "e2")
    cloud.on_product_changed(stream_event((product_image(back), product_image(sold_out))), None)
    assert heard.calls == [("refresh", "jacket", "e0")]


def test_records_that_the_stream_s_filter_drops_have_no_reaction(heard: Heard) -> None:
    events = stream_event((None, entry_image(EntryState.UNSUBSCRIBED)))
    del events["Records"][0]["dynamodb"]["NewImage"]
    assert failures(cloud.on_entry_written(events, None)) == []
    inserted = stream_event((None, product_image(Stock(Availability.IN_STOCK, 5, 1, "e1"))))
    assert failures(cloud.on_product_changed(inserted, None)) == []
    assert heard.calls == []


def test_rows_of_other_kinds_in_a_redriven_range_set_nothing_off(heard: Heard) -> None:
    counter = {"shopper": {"S": "ada-id"}, "sku": {"S": " requested#2026-11-27"}, "count": {"N": "1"}}
    entries = stream_event((counter, counter), (None, entry_image(EntryState.PENDING)))
    assert failures(cloud.on_entry_written(entries, None)) == []
    assert heard.calls == [("put", "ada-id", "A")]
    pointer = {"id": {"S": "sku#A"}, "slug": {"S": "jacket"}}
    sold_out, back = Stock(Availability.OUT_OF_STOCK, 0, 1, "e1"), Stock(Availability.IN_STOCK, 5, 2, "e2")
    change = (product_image(sold_out), product_image(back))
    assert failures(cloud.on_product_changed(stream_event((pointer, pointer), change), None)) == []
    assert [call[0] for call in heard.calls] == ["put", "refresh", "open_restock"]


def test_a_record_without_its_time_is_written_now(heard: Heard, container: Container) -> None:
    container.clock_ms = lambda: 5000
    sold_out, back = Stock(Availability.OUT_OF_STOCK, 0, 1, "e1"), Stock(Availability.IN_STOCK, 5, 2, "e2")
    event = stream_event((product_image(sold_out), product_image(back)))
    del event["Records"][0]["dynamodb"]["ApproximateCreationDateTime"]
    assert failures(cloud.on_product_changed(event, None)) == []
    assert heard.calls[-1] == ("open_restock", Restock("A:0:e2", "jacket", "A", 5, 2, 5000))


def test_a_count_sent_again_turns_no_page(heard: Heard) -> None:
    back = Stock(Availability.IN_STOCK, 5, 1, "e1")
    again = Stock(Availability.IN_STOCK, 5, 2, "e2")
    cloud.on_product_changed(stream_event((product_image(back), product_image(again))), None)
    assert heard.calls == []


def test_a_record_that_fails_without_a_number_has_its_whole_batch_come_again() -> None:
    records = stream_event(*[(None, entry_image(EntryState.PENDING))] * 3)["Records"]
    del records[1]["dynamodb"]["SequenceNumber"]
    # Lambda takes an empty identifier, as any it does not know, for the whole batch:
    # https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    assert failures(react_to_stream(records, fail_on("e1"))) == [""]
    with pytest.raises(KeyError):
        react_to_queue([{"body": "a"}], fail_on("a"))


def test_a_catalogue_edit_turns_no_page(heard: Heard) -> None:
    image = product_image(Stock(Availability.IN_STOCK, 5, 1, "e1"))
    cloud.on_product_changed(stream_event((image, {**image, "document": {"S": "{}"}})), None)
    assert heard.calls == []


def test_queued_work_reaches_its_service(heard: Heard) -> None:
    step, one = ShardStep("r1", "A", "A#1"), NotifyOne("r1", "A", "ada-id")
    cloud.send_wave(queue_event(to_json(step), to_json(one)), None)
    cloud.send_confirmations(queue_event(json.dumps({"shopper": "ada-id", "sku": "A"})), None)
    assert heard.calls == [
        ("work", step),
        ("work", one),
        ("send", "ada-id", "A"),
        ("delete", "r0"),
    ]


def test_a_poison_message_fails_alone(heard: Heard) -> None:
    good = NotifyOne("r1", "A", "ada-id")
    assert failures(cloud.send_wave(queue_event(to_json(good), "poison", to_json(good)), None)) == ["m1"]
    assert heard.calls == [("work", good), ("work", good)]


def fail_on(bad: str) -> Any:
    def react(record: Any) -> None:
        if bad in str(record):
            raise RuntimeError(f"cannot take {record}")

    return react


def test_a_stream_stops_at_the_record_that_fails() -> None:
    records = stream_event(*[(None, entry_image(EntryState.PENDING))] * 4)["Records"]
    seen: list[str] = []

    def react(record: Any) -> None:
        seen.append(record["eventID"])
        fail_on("s2")(record)

    assert failures(react_to_stream(records, react)) == ["s2"]
    assert seen == ["e0", "e1", "e2"]


def test_a_batch_whose_first_record_fails_ends_in_an_error_that_names_nobody() -> None:
    records = stream_event(*[(None, entry_image(EntryState.PENDING))] * 3)["Records"]
    with pytest.raises(FirstRecordFailed, match=r"^the first of 3 records$"):
        react_to_stream(records, fail_on("e0"))
    # By itself it is reported: there is nothing to split.
    assert failures(react_to_stream(records[:1], fail_on("e0"))) == ["s0"]


def test_a_queue_goes_on_after_a_message_that_fails() -> None:
    records = queue_event("a", "bad", "c")["Records"]
    assert failures(react_to_queue(records, fail_on("bad"))) == ["m1"]


def test_a_failure_is_logged_without_what_the_record_held(capsys: pytest.CaptureFixture[str]) -> None:
    react_to_queue(queue_event("bad ada@example.com")["Records"], fail_on("bad"))
    logged = json.loads(capsys.readouterr().out)
    assert (logged["event"], logged["error"]) == ("record_failed", "RuntimeError")
    assert "ada" not in json.dumps(logged)


class LambdaContext:
    """The part of Lambda's context that a log line has."""

    def __init__(self, aws_request_id: str) -> None:
        self.aws_request_id = aws_request_id


def test_lines_name_the_request_and_the_record_they_are_about(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(Heard, "__getattr__")  # now no service has any attribute
    cloud.send_wave(queue_event(to_json(NotifyOne("r", "A", "ada-id")), "no message"), LambdaContext("q1"))
    cloud.on_entry_written(stream_event((None, entry_image(EntryState.PENDING))), LambdaContext("q2"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["request"], line["record"]) for line in lines] == [
        ("record_failed", "q1", "m0"),
        ("record_failed", "q1", "m1"),
        ("record_failed", "q2", "e0"),
    ]


@pytest.mark.parametrize("body", [{"shopper": "ada-id", "sku": "A"}, {"shopper": "ada-id"}])
def test_an_email_that_may_not_leave_now_is_put_back(
    heard: Heard, body: dict[str, Any], container: Container
) -> None:
    class Refusing:
        refusal = SendRefusal.RETRY

        def send(self, *_: str) -> None:
            raise SendRefused("quota", self.refusal)

    for service in ("confirmations", "my_waitlists_email"):
        vars(container)[service] = Refusing()
    text = json.dumps(body)
    assert failures(cloud.send_confirmations(queue_event(text), None)) == []
    ((call, email, delay_s), deleted) = heard.calls
    assert (call, email) == ("put_back", RequestedEmail(**body, hops=1, tries=1))
    assert 0 < delay_s <= 900
    assert deleted == ("delete", "r0")
    Refusing.refusal = SendRefusal.INVALID
    assert failures(cloud.send_confirmations(queue_event(text), None)) == ["m0"]


def test_a_repeated_signup_puts_the_present_entry_into_the_shard(heard: Heard) -> None:
    gone = {**entry_image(EntryState.PENDING), "expires_at_s": {"N": "2"}}
    again = entry_image(EntryState.PENDING, signed_up_at_ms=2000)
    cloud.on_entry_written(stream_event((gone, again)), None)
    assert heard.calls == [("rejoin", entry_from(again)), ("put", "ada-id", "A")]


def test_a_first_ask_of_a_row_that_was_no_entry_before_is_asked_about(heard: Heard) -> None:
    counter = {"shopper": {"S": "ada-id"}, "sku": {"S": " requested#2026-11-27"}, "count": {"N": "1"}}
    cloud.on_entry_written(stream_event((counter, entry_image(EntryState.PENDING))), None)
    assert heard.calls == [("put", "ada-id", "A")]


def test_an_email_about_all_lists_reaches_its_service(heard: Heard, container: Container) -> None:
    vars(container)["my_waitlists_email"] = heard
    cloud.send_confirmations(queue_event(RequestedEmail("ada-id", source="net4-x").to_json()), None)
    assert heard.calls == [("send", "ada-id", "net4-x"), ("delete", "r0")]


def test_feedback_reaches_its_handler(container: Container) -> None:
    desk = Heard()
    vars(container)["ses_event_handler"] = desk
    assert failures(cloud.on_feedback(queue_event("a body"), None)) == []
    assert desk.calls == [("handle", "a body")]


def test_emails_that_are_due_are_sent_by_what_the_function_is_given(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, container: Container
) -> None:
    given: list[Any] = []

    class Due:
        def __init__(self, *arguments: Any) -> None:
            given.extend(arguments)

        def send(self, body: str) -> None:
            given.append(body)

    def remaining_ms() -> int:
        return 1

    monkeypatch.setattr(events, "RequestedBatch", Due)
    assert failures(events.on_requested_emails(container, queue_event("b")["Records"], remaining_ms)) == []
    assert (given[0].func, given[0].args) == (events.send_requested, (container,))
    assert given[1:] == [heard, clock_ms, random.random, remaining_ms, "b"]
    assert heard.calls == [("delete", "r0")]


def test_a_page_turns_where_one_of_its_variants_is_shown_otherwise(heard: Heard) -> None:
    one, two = Stock(Availability.IN_STOCK, 5, 1, "e1"), Stock(Availability.IN_STOCK, 5, 2, "e2")
    before, after = product_image(one), product_image(two)
    # A variant that is new, beside one that is shown as it was.
    after["stock"]["M"]["B"] = after["stock"]["M"]["A"]
    cloud.on_product_changed(stream_event((before, after)), None)
    assert heard.calls == [("refresh", "jacket", "e0")]


def test_a_restock_is_opened_at_the_end_of_the_second_that_the_stream_names(heard: Heard) -> None:
    sold_out, back = Stock(Availability.OUT_OF_STOCK, 0, 1, "e1"), Stock(Availability.IN_STOCK, 5, 2, "e2")
    event = stream_event((product_image(sold_out), product_image(back)))
    event["Records"][0]["dynamodb"]["ApproximateCreationDateTime"] = 0.0
    cloud.on_product_changed(event, None)
    assert heard.calls[-1] == ("open_restock", Restock("A:0:e2", "jacket", "A", 5, 2, 999))


def test_a_record_in_the_middle_that_fails_is_logged_whole(capsys: pytest.CaptureFixture[str]) -> None:
    records = stream_event(*[(None, entry_image(EntryState.PENDING))] * 3)["Records"]
    assert react_to_stream(records, fail_on("e1")) == {"batchItemFailures": [{"itemIdentifier": "s1"}]}
    line = json.loads(capsys.readouterr().out)
    assert line.pop("at")[-1].partition(":")[0] == "react"
    assert {name: line[name] for name in ("event", "error", "record")} == {
        "event": "record_failed",
        "error": "RuntimeError",
        "record": "e1",
    }
    assert react_to_stream(records, lambda _: None) == {"batchItemFailures": []}
    assert react_to_stream([], lambda _: None) == {"batchItemFailures": []}


def test_a_record_without_its_ids_has_its_batch_come_again_and_is_logged_without_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert react_to_stream([{"bad": 1}], fail_on("bad")) == {"batchItemFailures": [{"itemIdentifier": ""}]}
    assert json.loads(capsys.readouterr().out)["record"] == ""


def test_each_message_that_is_done_is_settled_by_its_receipt_at_once() -> None:
    heard: list[tuple[str, str]] = []

    def react(body: str) -> None:
        heard.append(("react", body))
        fail_on("bad")(body)

    def settled(result: str) -> None:
        heard.append(("settled", result))
        fail_on("r0")(result)

    records = [*queue_event("a", "bad", "c")["Records"], {"messageId": "m3", "body": "d"}]
    # One that is done and cannot be taken off the queue is no failure.
    assert react_to_queue(records, react, settled) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert heard == [
        ("react", "a"),
        ("settled", "r0"),
        ("react", "bad"),
        ("react", "c"),
        ("settled", "r2"),
        ("react", "d"),
        ("settled", ""),
    ]
    assert react_to_queue(records[:1], react) == {"batchItemFailures": []}
