"""Several machines that publish one shop: one at a time, each to what is live and not to what it saw last."""

from threading import Thread

import pytest

from spillway.errors import WorkFailed
from spillway.publish.live import CLAIM_MS
from tests.support.publish_env import Desk, drop_notes, drop_scarf, edit_privacy, write_notes


def test_what_another_machine_published_since_is_seen_before_anything_is_decided(
    desk: Desk, other: Desk
) -> None:
    desk.publish()
    edit_privacy(other.project)
    other.publish()
    theirs = desk.content()
    # Nothing to do, by what this machine saw last; then something, by that; then nothing again.
    assert desk.publish().uploaded > 0
    assert desk.content() != theirs
    other.publish()
    assert desk.content() == theirs
    edit_privacy(desk.project)
    assert desk.publish().uploaded == 0
    assert desk.content() == theirs


def test_a_claim_that_ended_since_it_was_seen_stops_nobody(desk: Desk, other: Desk) -> None:
    desk.publish()
    edit_privacy(other.project)
    plan = other.plan()
    claimed = other.live.claim(other.live.read(), plan)
    assert desk.live.read().manifest.claim == claimed.manifest.claim
    with pytest.raises(WorkFailed, match="another publish is under way"):
        desk.publish()
    claimed.finish()
    edit_privacy(desk.project)
    assert desk.publish().release == plan.manifest.release


def test_many_pages_gone_are_counted_by_what_is_live(desk: Desk, other: Desk) -> None:
    write_notes(desk.project, 30)
    desk.publish()
    other.publish(delete_many=True)
    drop_notes(desk.project)
    assert desk.publish().removed == 0


def test_of_two_publishers_one_wins_and_the_other_is_told(desk: Desk, other: Desk) -> None:
    desk.publish()
    edit_privacy(desk.project)
    drop_scarf(other.project)
    told: list[str] = []

    def publish_too() -> None:
        with pytest.raises(WorkFailed, match="another publish is under way") as caught:
            other.publish()
        told.append(caught.value.message)

    def meanwhile(done: int, total: int) -> None:
        elsewhere = Thread(target=publish_too)
        elsewhere.start()
        elsewhere.join()

    desk.publish(meanwhile)
    assert len(told) == 1
    assert "More." in desk.page("privacy")
    assert "products/scarf" in desk.sink.keys("pages")


def test_two_who_read_the_same_manifest_cannot_both_claim_it(desk: Desk, other: Desk) -> None:
    desk.publish()
    edit_privacy(desk.project)
    plan = desk.plan()
    mine, theirs = desk.live.read(), other.live.read()
    desk.live.claim(mine, plan)
    with pytest.raises(WorkFailed, match="another publish is under way"):
        other.live.claim(theirs, plan)


def test_a_claim_that_somebody_died_with_is_given_up_and_its_owner_is_told(desk: Desk, other: Desk) -> None:
    desk.publish()
    edit_privacy(desk.project)
    plan = desk.plan()
    claimed = desk.live.claim(desk.live.read(), plan)
    other.clock.pass_s(CLAIM_MS // 1000)
    other.publish()
    with pytest.raises(WorkFailed, match="another publish took over"):
        claimed.finish()
    assert "More." not in desk.page("privacy")
