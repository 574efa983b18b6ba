"""A publish that was overtaken, whenever it wakes up: no mix of two releases stays."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from chalicelib.domain.product import Product
from chalicelib.domain.stock import Stock, StockedProduct
from chalicelib.tables.products import ProductsTable
from spillway.errors import WorkFailed
from spillway.publish.answer import Answer
from spillway.publish.live import CLAIM_MS, CLAIM_RENEWED_AFTER_MS, CLAIM_TRUSTED_MS
from spillway.publish.manifest import Claim, Manifest
from spillway.publish.publisher import _send
from spillway.publish.s3 import Request
from spillway.publish.target import claimant_of
from tests.support.aws import ROOT
from tests.support.publish_env import Desk, drop_scarf, edit_privacy, write_notes

CLAIM_S = CLAIM_MS // 1000


class Meanwhile(ProductsTable):
    """The table of products; before the first is put, and so before any page is, `act` happens elsewhere."""

    def __init__(self, products: ProductsTable, act: Callable[[], None]) -> None:
        super().__init__(products.table.client, products.table.name)
        self._acts = [act]

    def put_catalogue(
        self, product: Product, initial_stock: Mapping[str, Stock], *, known: StockedProduct | None
    ) -> int:
        while self._acts:
            self._acts.pop()()
        return super().put_catalogue(product, initial_stock, known=known)


def two_releases(desk: Desk, other: Desk) -> None:
    """Let `desk` want another privacy page and no scarf, and `other` some notes."""
    desk.publish()
    edit_privacy(desk.project)
    drop_scarf(desk.project)
    write_notes(other.project, 3)


def overtakes(other: Desk) -> Callable[[], None]:
    def publish() -> None:
        other.clock.pass_s(CLAIM_S)
        other.publish()

    return publish


def test_what_an_overtaken_publish_wrote_is_put_again_by_the_next_and_not_called_unchanged(
    desk: Desk, other: Desk
) -> None:
    two_releases(desk, other)
    theirs: list[dict[str, bytes]] = []

    def overtake() -> None:
        overtakes(other)()
        theirs.append(desk.content())

    desk.products = Meanwhile(desk.products, overtake)
    with pytest.raises(WorkFailed, match="another publish took over before this one ended"):
        desk.publish()
    assert "More." in desk.page("privacy"), "its clock stood still: it wrote to the end"
    assert "products/scarf" not in desk.sink.keys("pages")
    assert desk.content() != theirs[0]
    live = other.live.read().manifest
    assert {"privacy", "products/scarf"} <= set(live.unsure)
    assert (live.theme, live.claim) == ("", None)
    desk.sink.asked.clear()
    other.publish()
    assert desk.content() == theirs[0]
    assert ("PUT", "release/theme.json") in desk.sink.asked
    assert other.live.read().manifest.unsure == ()
    assert other.publish().uploaded == 0


def test_a_publish_that_finds_itself_overtaken_between_batches_writes_no_more(
    desk: Desk, other: Desk
) -> None:
    two_releases(desk, other)
    asked: list[int] = []

    def overtake() -> None:
        overtakes(other)()
        desk.clock.pass_s(CLAIM_TRUSTED_MS // 1000)
        asked.append(len(desk.sink.asked))

    desk.products = Meanwhile(desk.products, overtake)
    with pytest.raises(WorkFailed, match="another publish took over"):
        desk.publish()
    after = desk.sink.asked[asked[0] :]
    assert [method for method, name in after if name != "release/manifest.json"] == []
    assert {"privacy", "products/scarf"} <= set(other.live.read().manifest.unsure)
    assert "products/scarf" in desk.sink.keys("pages")
    assert len(desk.cdn.paths) == 1, "of the first publish"


def test_keys_of_a_publish_that_never_wakes_up_stay_in_doubt_for_the_publish_after(
    desk: Desk, other: Desk
) -> None:
    two_releases(desk, other)
    plan = desk.plan()
    desk.live.claim(desk.live.read(), plan)
    overtakes(other)()
    assert set(other.live.read().manifest.unsure) == set(plan.keys)
    theirs = desk.content()
    # It wakes up, writes, and is killed before it can say so.
    desk.sink.objects["pages/privacy"] = b"of an overtaken publish"
    desk.sink.objects["release/theme.json"] = b"too"
    other.publish()
    assert desk.content() == theirs
    assert desk.sink.objects["release/theme.json"] != b"too"
    assert other.live.read().manifest.unsure == ()


def test_doubts_that_come_while_the_other_publish_is_under_way_outlast_it(desk: Desk, other: Desk) -> None:
    two_releases(desk, other)
    plan = desk.plan()
    asleep = desk.live.claim(desk.live.read(), plan)
    other.clock.pass_s(CLAIM_S)
    other.publish()
    other.publish()
    assert other.live.read().manifest.unsure == ()

    def wake_up() -> None:
        with pytest.raises(WorkFailed, match="another publish took over"):
            asleep.finish()

    write_notes(other.project, 4)
    other.products = Meanwhile(other.products, wake_up)
    other.publish()
    live = other.live.read().manifest
    assert (set(live.unsure), live.theme, live.claim) == (set(plan.keys), "", None)
    other.publish()
    assert other.live.read().manifest.unsure == ()


def test_who_takes_up_what_overtook_another_keeps_its_doubts(desk: Desk, other: Desk) -> None:
    two_releases(desk, other)
    asleep = desk.plan()
    desk.live.claim(desk.live.read(), asleep)
    other.clock.pass_s(CLAIM_S)
    other.live.claim(other.live.read(), other.plan())
    other.publish()
    assert set(asleep.keys) <= set(other.live.read().manifest.unsure)


def test_a_theme_alone_may_be_in_doubt(desk: Desk) -> None:
    overtaking = Manifest("r", {}, {}, "digest", claim=Claim("other", 1))
    assert overtaking.with_doubts(()).claim == Claim("other", 1, doubted=())
    assert Manifest.from_json(overtaking.with_doubts(()).to_json()) == overtaking.with_doubts(())
    assert Manifest("r", {}, {}, "digest").with_doubts(()) == Manifest("r", {}, {}, "")
    assert Manifest("r", unsure=("a",)).with_doubts(("c", "b")).unsure == ("a", "b", "c")


def test_a_claim_is_renewed_by_a_publish_that_takes_long(desk: Desk, other: Desk) -> None:
    two_releases(desk, other)
    hold = desk.live.claim(desk.live.read(), desk.plan())
    for _ in range(6):
        desk.clock.pass_s(CLAIM_RENEWED_AFTER_MS // 1000)
        other.clock.now_ms = desk.clock()
        hold.check()
        with pytest.raises(WorkFailed, match="another publish is under way"):
            other.publish()
    assert hold.manifest.claim == Claim("me", desk.clock(), desk.plan().manifest.release)
    assert hold.finish().manifest.unsure == ()


def test_a_claim_that_was_looked_at_just_now_costs_no_request(desk: Desk, other: Desk) -> None:
    two_releases(desk, other)
    hold = desk.live.claim(desk.live.read(), desk.plan())
    desk.sink.asked.clear()
    for passes_ms, asked in (
        (0, 0),
        (CLAIM_TRUSTED_MS - 1, 0),
        (1, 1),
        (CLAIM_TRUSTED_MS - 1, 1),
        (-9_000, 2),
    ):
        desk.clock.now_ms += passes_ms
        hold.check()
        assert desk.sink.asked == [("GET", "release/manifest.json")] * asked


def test_a_batch_ends_when_the_claim_has_to_be_looked_at_again(desk: Desk) -> None:
    desk.publish()
    hold = desk.live.claim(desk.live.read(), desk.plan())
    batches: list[list[str]] = []

    class SlowBucket:
        def send(self, requests: Iterable[Request], done: Callable[[], None] = lambda: None) -> None:
            batches.append([])
            for request in requests:
                batches[-1].append(request.key)
                desk.clock.pass_s(2)

        def get(self, key: str) -> Answer:
            raise NotImplementedError

    desk.sink.asked.clear()
    _send(SlowBucket(), (Request("PUT", str(number)) for number in range(7)), hold)
    assert batches == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert desk.sink.asked == [("GET", "release/manifest.json")] * 2


def test_a_publish_that_was_stopped_and_woken_leaves_the_other_release_whole(
    desk: Desk, other: Desk, tmp_path: Path
) -> None:
    desk.publish()
    edit_privacy(other.project)
    drop_scarf(other.project)
    clock = tmp_path / "clock"
    clock.write_text(str(desk.clock()))
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.support.publish_process",
            desk.sink.url,
            str(other.project.root),
            str(clock),
        ],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as asleep:

        def stop(method: str, name: str) -> None:
            if (method, name) == ("PUT", "release/theme.json"):
                os.kill(asleep.pid, signal.SIGSTOP)

        # Before its first page.
        desk.sink.hears = stop
        _, status = os.waitpid(asleep.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        desk.sink.hears = lambda method, name: None
        write_notes(desk.project, 3)
        desk.clock.pass_s(CLAIM_S)
        desk.publish()
        theirs, before = desk.content(), len(desk.sink.asked)
        clock.write_text(str(desk.clock() + 60_000))
        os.kill(asleep.pid, signal.SIGCONT)
        _, said = asleep.communicate(timeout=60)
    assert asleep.returncode == 1
    assert "another publish took over before this one ended" in said
    after = desk.sink.asked[before:]
    assert {name for method, name in after if method != "GET"} <= {"release/manifest.json"}
    assert desk.content() == theirs
    again = desk.publish()
    assert again.uploaded > 0, "what it might have written"
    assert desk.content() == theirs
    assert desk.publish().uploaded == 0


def test_each_publish_has_a_token_of_its_own_and_takes_up_what_ended_in_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    first, second = claimant_of(file, "host 1 2"), claimant_of(file, "host 1 2")
    assert first.token != second.token
    assert first.ended == frozenset()
    assert second.ended == {first.token}
    assert claimant_of(file, "host 1 2").ended == {first.token, second.token}


def test_a_copy_of_a_folder_takes_up_nothing(tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    claimant_of(file, "host 1 2")
    assert claimant_of(file, "host 1 3").ended == frozenset()
    for text in ("", "[]", "{}", "a1b2c3", "1234"):
        file.write_text(text)
        assert claimant_of(file, "host 1 2").ended == frozenset()


def test_a_claim_of_a_copied_folder_is_one_of_another(desk: Desk, other: Desk) -> None:
    desk.publish()
    file = desk.project.cache / "claims.json"
    desk.live._claimant = claimant_of(file, "host 1 2")
    copied = other.project.cache / "claims.json"
    copied.parent.mkdir(parents=True, exist_ok=True)
    copied.write_bytes(file.read_bytes())
    other.live._claimant = claimant_of(copied, "host 1 3")
    edit_privacy(desk.project)
    desk.live.claim(desk.live.read(), desk.plan())
    write_notes(other.project, 1)
    with pytest.raises(WorkFailed, match="another publish is under way"):
        other.publish()
    # The same folder, by contrast, knows that its own has ended.
    desk.live._claimant = claimant_of(file, "host 1 2")
    desk.publish()
    assert "More." in desk.page("privacy")
    assert desk.live.read().manifest.unsure == ()
