"""Several machines that publish one shop: one at a time, each to what is live and not to what it saw last."""

from threading import Thread

import pytest

from spillway.errors import WorkFailed
from spillway.publish.live_manifest import CLAIM_MS
from tests.support.publish_env import PublishEnv, drop_notes, drop_scarf, edit_privacy, write_notes


def test_a_later_release_from_another_machine_is_noticed_before_the_plan(
    env: PublishEnv, other: PublishEnv
) -> None:
    env.publish()
    edit_privacy(other.project)
    other.publish()
    theirs = env.content()
    # Nothing to do, by what this machine saw last; then something, by that; then nothing again.
    assert env.publish().uploaded > 0
    assert env.content() != theirs
    other.publish()
    assert env.content() == theirs
    edit_privacy(env.project)
    assert env.publish().uploaded == 0
    assert env.content() == theirs


def test_a_claim_that_ended_since_it_was_seen_stops_nobody(env: PublishEnv, other: PublishEnv) -> None:
    env.publish()
    edit_privacy(other.project)
    plan = other.plan()
    claimed = other.manifest.claim(other.manifest.read(), plan)
    assert env.manifest.read().manifest.claim == claimed.manifest.claim
    with pytest.raises(WorkFailed, match="another publish is under way"):
        env.publish()
    claimed.finish()
    edit_privacy(env.project)
    assert env.publish().release == plan.manifest.release


def test_many_pages_gone_are_counted_by_what_is_live(env: PublishEnv, other: PublishEnv) -> None:
    write_notes(env.project, 30)
    env.publish()
    other.publish(delete_many=True)
    drop_notes(env.project)
    assert env.publish().removed == 0


def test_one_of_two_publishers_wins_and_the_other_is_refused(env: PublishEnv, other: PublishEnv) -> None:
    env.publish()
    edit_privacy(env.project)
    drop_scarf(other.project)
    messages: list[str] = []

    def publish_too() -> None:
        with pytest.raises(WorkFailed, match="another publish is under way") as caught:
            other.publish()
        messages.append(caught.value.message)

    def meanwhile(done: int, total: int) -> None:
        elsewhere = Thread(target=publish_too)
        elsewhere.start()
        elsewhere.join()

    env.publish(meanwhile)
    assert len(messages) == 1
    assert "More." in env.page("privacy")
    assert "products/scarf" in env.sink.keys("pages")


def test_two_who_read_the_same_manifest_cannot_both_claim_it(env: PublishEnv, other: PublishEnv) -> None:
    env.publish()
    edit_privacy(env.project)
    plan = env.plan()
    mine, theirs = env.manifest.read(), other.manifest.read()
    env.manifest.claim(mine, plan)
    with pytest.raises(WorkFailed, match="another publish is under way"):
        other.manifest.claim(theirs, plan)


def test_a_claim_that_somebody_died_with_is_given_up_and_its_owner_named(
    env: PublishEnv, other: PublishEnv
) -> None:
    env.publish()
    edit_privacy(env.project)
    plan = env.plan()
    claimed = env.manifest.claim(env.manifest.read(), plan)
    other.clock.pass_s(CLAIM_MS // 1000)
    other.publish()
    with pytest.raises(WorkFailed, match="another publish took over"):
        claimed.finish()
    assert "More." not in env.page("privacy")
