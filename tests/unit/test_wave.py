import pytest

from chalicelib.domain.wave import NotifyOne, ShardStep, WaveMessage, from_json, to_json

STEP = ShardStep("r1", "A", "A#3")


@pytest.mark.parametrize(
    "message", [STEP, ShardStep("r1", "A", "A#3", "0001#ada", True), NotifyOne("r", "A", "ada")]
)
def test_a_message_comes_back_as_it_was_sent(message: WaveMessage) -> None:
    assert from_json(to_json(message)) == message


@pytest.mark.parametrize("body", ["", "{}", "[]", "null", '{"kind": "x"}', '{"kind": "one", "x": 1}', "3"])
def test_any_other_body_is_refused(body: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error is one of them
        from_json(body)


def test_a_shard_is_walked_to_its_end_and_then_once_more() -> None:
    second = STEP.next("p1")
    assert second == ShardStep("r1", "A", "A#3", "p1")
    assert second is not None
    sweep = second.next(None)
    assert sweep == ShardStep("r1", "A", "A#3", "", sweep=True)
    assert sweep is not None
    assert sweep.next("p1") == ShardStep("r1", "A", "A#3", "p1", sweep=True)
    assert sweep.next(None) is None
