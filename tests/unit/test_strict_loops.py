"""A chain of invocations is counted along its trace header, function by function."""

from hypothesis import given
from hypothesis import strategies as st

from spillway.local_cloud.strict.emulator import function_mark, headers_of, lineage_of, next_lineage, trace_of

FAN_OUT = "arn:aws:lambda:us-east-1:000000000000:function:send-wave"
OTHER = "arn:aws:lambda:us-east-1:000000000000:function:on-entry"


def test_a_chain_that_comes_from_outside_begins_at_one() -> None:
    assert next_lineage(FAN_OUT, []) == {function_mark(FAN_OUT): 1}
    assert next_lineage(FAN_OUT, ["", "Root=1-0-0;Parent=0;Sampled=1"]) == {function_mark(FAN_OUT): 1}


def test_each_function_is_counted_for_itself() -> None:
    lineage = next_lineage(FAN_OUT, [])
    for _ in range(15):
        lineage = next_lineage(FAN_OUT, [trace_of(lineage, 0)])
    lineage = next_lineage(OTHER, [trace_of(lineage, 0)])
    assert lineage == {function_mark(FAN_OUT): 16, function_mark(OTHER): 1}


def test_a_batch_is_as_deep_as_its_deepest_message() -> None:
    shallow, deep = ({function_mark(FAN_OUT): count} for count in (2, 9))
    assert next_lineage(FAN_OUT, [trace_of(shallow, 0), trace_of(deep, 0)]) == {function_mark(FAN_OUT): 10}


@given(st.dictionaries(st.from_regex(r"[0-9a-f]{8}", fullmatch=True), st.integers(1, 99), max_size=5))
def test_a_trace_header_carries_a_lineage_through(lineage: dict[str, int]) -> None:
    assert lineage_of(trace_of(lineage, 1_700_000_000)) == lineage


def test_only_messages_of_a_queue_carry_a_header() -> None:
    records = [{"attributes": {"AWSTraceHeader": "Root=1"}}, {"attributes": {}}, {"dynamodb": {}}]
    assert headers_of({"Records": records}) == ["Root=1"]
    assert headers_of({"Records": "x"}) == headers_of(None) == headers_of([]) == []
