"""A publish that was overtaken, whenever it wakes up: no mix of two releases stays."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from chalicelib.aws.response import Response
from chalicelib.domain.ids import Sku
from chalicelib.domain.product import Product
from chalicelib.domain.stock import Stock, StockedProduct
from chalicelib.tables.products import ProductsTable
from spillway.errors import WorkFailed
from spillway.publish.live_manifest import CLAIM_MS, CLAIM_RENEWED_AFTER_MS, CLAIM_TRUSTED_MS
from spillway.publish.manifest import Manifest, PublishClaim
from spillway.publish.run import _send
from spillway.publish.s3 import S3Request
from spillway.publish.target import claimant_of
from tests.support.aws import ROOT
from tests.support.publish_env import PublishEnv, drop_scarf, edit_privacy, write_notes

CLAIM_S = CLAIM_MS // 1000


class Meanwhile(ProductsTable):
    """The table of products; before the first is put, and so before any page is, `act` happens elsewhere."""

    def __init__(self, products: ProductsTable, act: Callable[[], None]) -> None:
        super().__init__(products.table.client, products.table.name)
        self._acts = [act]

    def put_catalogue(
        self, product: Product, initial_stock: Mapping[Sku, Stock], *, known: StockedProduct | None
    ) -> int:
        while self._acts:
            self._acts.pop()()
        return super().put_catalogue(product, initial_stock, known=known)


def two_releases(env: PublishEnv, other: PublishEnv) -> None:
    """Let `env` want another privacy page and no scarf, and `other` some notes."""
    env.publish()
    edit_privacy(env.project)
    drop_scarf(env.project)
    write_notes(other.project, 3)


def overtakes(other: PublishEnv) -> Callable[[], None]:
    def publish() -> None:
        other.clock.pass_s(CLAIM_S)
        other.publish()

    return publish


def test_objects_of_an_overtaken_publish_are_put_again_by_the_next_and_not_called_unchanged(
    env: PublishEnv, other: PublishEnv
) -> None:
    two_releases(env, other)
    theirs: list[dict[str, bytes]] = []

    def overtake() -> None:
        overtakes(other)()
        theirs.append(env.content())

    env.products = Meanwhile(env.products, overtake)
    with pytest.raises(WorkFailed, match="another publish took over before this one ended"):
        env.publish()
    assert "More." in env.page("privacy"), "its clock stood still: it wrote to the end"
    assert "products/scarf" not in env.sink.keys("pages")
    assert env.content() != theirs[0]
    live = other.manifest.read().manifest
    assert {"privacy", "products/scarf"} <= set(live.in_doubt)
    assert (live.theme, live.claim) == ("", None)
    env.sink.asked.clear()
    other.publish()
    assert env.content() == theirs[0]
    assert ("PUT", "release/theme.json") in env.sink.asked
    assert other.manifest.read().manifest.in_doubt == ()
    assert other.publish().uploaded == 0


def test_a_publish_that_finds_itself_overtaken_between_batches_writes_no_more(
    env: PublishEnv, other: PublishEnv
) -> None:
    two_releases(env, other)
    asked: list[int] = []

    def overtake() -> None:
        overtakes(other)()
        env.clock.pass_s(CLAIM_TRUSTED_MS // 1000)
        asked.append(len(env.sink.asked))

    env.products = Meanwhile(env.products, overtake)
    with pytest.raises(WorkFailed, match="another publish took over"):
        env.publish()
    after = env.sink.asked[asked[0] :]
    assert [method for method, name in after if name != "release/manifest.json"] == []
    assert {"privacy", "products/scarf"} <= set(other.manifest.read().manifest.in_doubt)
    assert "products/scarf" in env.sink.keys("pages")
    assert len(env.cdn.paths) == 1, "of the first publish"


def test_keys_of_a_publish_that_never_wakes_up_stay_in_doubt_for_the_publish_after(
    env: PublishEnv, other: PublishEnv
) -> None:
    two_releases(env, other)
    plan = env.plan()
    env.manifest.claim(env.manifest.read(), plan)
    overtakes(other)()
    assert set(other.manifest.read().manifest.in_doubt) == set(plan.keys)
    theirs = env.content()
    # It wakes up, writes, and is killed before it can say so.
    env.sink.objects["pages/privacy"] = b"of an overtaken publish"
    env.sink.objects["release/theme.json"] = b"too"
    other.publish()
    assert env.content() == theirs
    assert env.sink.objects["release/theme.json"] != b"too"
    assert other.manifest.read().manifest.in_doubt == ()


def test_doubts_that_come_while_the_other_publish_is_under_way_outlast_it(
    env: PublishEnv, other: PublishEnv
) -> None:
    two_releases(env, other)
    plan = env.plan()
    asleep = env.manifest.claim(env.manifest.read(), plan)
    other.clock.pass_s(CLAIM_S)
    other.publish()
    other.publish()
    assert other.manifest.read().manifest.in_doubt == ()

    def wake_up() -> None:
        with pytest.raises(WorkFailed, match="another publish took over"):
            asleep.finish()

    write_notes(other.project, 4)
    other.products = Meanwhile(other.products, wake_up)
    other.publish()
    live = other.manifest.read().manifest
    assert (set(live.in_doubt), live.theme, live.claim) == (set(plan.keys), "", None)
    other.publish()
    assert other.manifest.read().manifest.in_doubt == ()


def test_a_publish_after_an_overtaken_one_keeps_its_keys_in_doubt(env: PublishEnv, other: PublishEnv) -> None:
    two_releases(env, other)
    asleep = env.plan()
    env.manifest.claim(env.manifest.read(), asleep)
    other.clock.pass_s(CLAIM_S)
    other.manifest.claim(other.manifest.read(), other.plan())
    other.publish()
    assert set(asleep.keys) <= set(other.manifest.read().manifest.in_doubt)


def test_a_theme_alone_may_be_in_doubt(env: PublishEnv) -> None:
    overtaking = Manifest("r", {}, {}, "digest", claim=PublishClaim("other", 1))
    assert overtaking.with_doubts(()).claim == PublishClaim("other", 1, in_doubt=())
    assert Manifest.from_json(overtaking.with_doubts(()).to_json()) == overtaking.with_doubts(())
    assert Manifest("r", {}, {}, "digest").with_doubts(()) == Manifest("r", {}, {}, "")
    assert Manifest("r", in_doubt=("a",)).with_doubts(("c", "b")).in_doubt == ("a", "b", "c")


def test_a_claim_is_renewed_by_a_publish_that_takes_long(env: PublishEnv, other: PublishEnv) -> None:
    two_releases(env, other)
    hold = env.manifest.claim(env.manifest.read(), env.plan())
    for _ in range(6):
        env.clock.pass_s(CLAIM_RENEWED_AFTER_MS // 1000)
        other.clock.now_ms = env.clock()
        hold.check()
        with pytest.raises(WorkFailed, match="another publish is under way"):
            other.publish()
    assert hold.manifest.claim == PublishClaim("me", env.clock(), env.plan().manifest.release)
    assert hold.finish().manifest.in_doubt == ()


def test_a_claim_that_was_looked_at_just_now_costs_no_request(env: PublishEnv, other: PublishEnv) -> None:
    two_releases(env, other)
    hold = env.manifest.claim(env.manifest.read(), env.plan())
    env.sink.asked.clear()
    for passes_ms, asked in (
        (0, 0),
        (CLAIM_TRUSTED_MS - 1, 0),
        (1, 1),
        (CLAIM_TRUSTED_MS - 1, 1),
        (-9_000, 2),
    ):
        env.clock.now_ms += passes_ms
        hold.check()
        assert env.sink.asked == [("GET", "release/manifest.json")] * asked


def test_a_batch_ends_when_the_claim_has_to_be_looked_at_again(env: PublishEnv) -> None:
    env.publish()
    hold = env.manifest.claim(env.manifest.read(), env.plan())
    batches: list[list[str]] = []

    class SlowBucket:
        def send(
            self,
            requests: Iterable[S3Request],
            on_done: Callable[[], None] = lambda: None,
            *,
            count: int | None = None,
        ) -> None:
            assert count == 7
            batches.append([])
            for request in requests:
                batches[-1].append(request.key)
                env.clock.pass_s(2)

        def get(self, key: str) -> Response:
            raise NotImplementedError

    env.sink.asked.clear()
    _send(SlowBucket(), [S3Request("PUT", str(number)) for number in range(7)], hold)
    assert batches == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert env.sink.asked == [("GET", "release/manifest.json")] * 2


def test_a_publish_that_was_stopped_and_woken_leaves_the_other_release_whole(
    env: PublishEnv, other: PublishEnv, tmp_path: Path
) -> None:
    env.publish()
    edit_privacy(other.project)
    drop_scarf(other.project)
    clock = tmp_path / "clock"
    clock.write_text(str(env.clock()))
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.support.publish_process",
            env.sink.url,
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
        env.sink.hears = stop
        _, status = os.waitpid(asleep.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        env.sink.hears = lambda method, name: None
        write_notes(env.project, 3)
        env.clock.pass_s(CLAIM_S)
        env.publish()
        theirs, before = env.content(), len(env.sink.asked)
        clock.write_text(str(env.clock() + 60_000))
        os.kill(asleep.pid, signal.SIGCONT)
        _, said = asleep.communicate(timeout=60)
    assert asleep.returncode == 1
    assert "another publish took over before this one ended" in said
    after = env.sink.asked[before:]
    assert {name for method, name in after if method != "GET"} <= {"release/manifest.json"}
    assert env.content() == theirs
    again = env.publish()
    assert again.uploaded > 0, "what it might have written"
    assert env.content() == theirs
    assert env.publish().uploaded == 0


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


def test_a_claim_of_a_copied_folder_is_one_of_another(env: PublishEnv, other: PublishEnv) -> None:
    env.publish()
    file = env.project.cache / "claims.json"
    env.manifest._claimant = claimant_of(file, "host 1 2")
    copied = other.project.cache / "claims.json"
    copied.parent.mkdir(parents=True, exist_ok=True)
    copied.write_bytes(file.read_bytes())
    other.manifest._claimant = claimant_of(copied, "host 1 3")
    edit_privacy(env.project)
    env.manifest.claim(env.manifest.read(), env.plan())
    write_notes(other.project, 1)
    with pytest.raises(WorkFailed, match="another publish is under way"):
        other.publish()
    # The same folder, by contrast, knows that its own has ended.
    env.manifest._claimant = claimant_of(file, "host 1 2")
    env.publish()
    assert "More." in env.page("privacy")
    assert env.manifest.read().manifest.in_doubt == ()
