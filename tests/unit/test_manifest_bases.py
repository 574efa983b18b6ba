"""A large manifest is stored as the changes of a base, and read as it was written."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.aws.response import Response
from spillway.errors import WorkFailed
from spillway.publish.bases import BASE_OBJECTS_MIN, Base
from spillway.publish.live_manifest import CLAIM_MS, Claimant, ManifestStore
from spillway.publish.manifest import KeptRelease, Manifest
from spillway.publish.plan import PublishPlan
from spillway.publish.s3 import PreconditionFailed, S3Request
from spillway.sitegen.release import DatedDigest
from tests.support.clock import Clock

KEYS = [f"products/p{number}" for number in range(BASE_OBJECTS_MIN)]
LARGE = Manifest(
    "r1",
    dict.fromkeys(KEYS, "f1"),
    theme="t",
    kept=(KeptRelease("r1", 1, 2, 3),),
    dates={f"/{key}": DatedDigest("d1", 1) for key in KEYS},
)
HINT = "publish with the newer version"


class Objects:
    """A bucket in memory. `asked` has each request."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.asked: list[str] = []

    def get(self, key: str, *, unless: str | None = None) -> Response:
        self.asked.append(f"GET {key}")
        if key not in self.bodies:
            return Response(404, {}, b"")
        headers = {"etag": self.etag(key)}
        return (
            Response(304, headers, b"")
            if unless == self.etag(key)
            else Response(200, headers, self.bodies[key])
        )

    def put_if(self, key: str, body: bytes, headers: dict[str, str], *, etag: str | None) -> str:
        self.asked.append(f"PUT {key}")
        if etag != (self.etag(key) if key in self.bodies else None):
            raise PreconditionFailed(key)
        self.bodies[key] = body
        return self.etag(key)

    def send(self, requests: Iterable[S3Request]) -> None:
        for request in requests:
            self.asked.append(f"{request.method} {request.key}")
            del self.bodies[request.key]

    def etag(self, key: str) -> str:
        return hashlib.sha256(self.bodies[key]).hexdigest()

    @property
    def bases(self) -> list[str]:
        return [key for key in self.bodies if key != "manifest.json"]


@pytest.fixture
def objects() -> Objects:
    return Objects()


def machine(objects: Objects, folder: Path, clock: Clock, owner: str = "me") -> ManifestStore:
    return ManifestStore(objects, Claimant(owner), clock, folder / owner / "manifest.json", hint=HINT)


def publish(store: ManifestStore, manifest: Manifest) -> None:
    store.claim(store.presumed(), plan_of(manifest)).finish()


def plan_of(manifest: Manifest) -> PublishPlan:
    return PublishPlan((), (), 0, manifest, False, True, False, ())


def edited(manifest: Manifest, *keys: str, release: str = "r2") -> Manifest:
    dates = {**manifest.dates, **{f"/{key}": DatedDigest(release, 2) for key in keys}}
    return replace(
        manifest, release=release, objects={**manifest.objects, **dict.fromkeys(keys, release)}, dates=dates
    )


def test_a_change_of_a_large_manifest_costs_two_short_requests(
    objects: Objects, tmp_path: Path, clock: Clock
) -> None:
    store = machine(objects, tmp_path, clock)
    publish(store, LARGE)
    (base,) = objects.bases
    objects.asked.clear()

    publish(store, edited(LARGE, KEYS[3]))

    assert objects.asked == ["PUT manifest.json", "PUT manifest.json"]
    assert objects.bases == [base]
    assert len(objects.bodies["manifest.json"]) < 500 < len(objects.bodies[base])
    assert machine(objects, tmp_path, clock, "other").read().manifest == edited(LARGE, KEYS[3])


def test_objects_and_pages_of_the_base_may_be_gone(objects: Objects, tmp_path: Path, clock: Clock) -> None:
    store = machine(objects, tmp_path, clock)
    publish(store, edited(LARGE, "one-more"))

    publish(store, LARGE)

    assert machine(objects, tmp_path, clock, "other").read().manifest == LARGE
    assert objects.asked.count("PUT manifest.json") == 4
    assert len(objects.bases) == 1


def test_many_changes_get_another_base_and_the_one_before_is_deleted(
    objects: Objects, tmp_path: Path, clock: Clock
) -> None:
    store = machine(objects, tmp_path, clock)
    publish(store, LARGE)
    before = objects.bases

    publish(store, edited(LARGE, *KEYS[:400]))

    assert len(objects.bases) == 1
    assert objects.bases != before
    assert machine(objects, tmp_path, clock, "other").read().manifest == edited(LARGE, *KEYS[:400])


def test_the_base_of_a_publish_that_died_is_deleted_by_the_next_one(
    objects: Objects, tmp_path: Path, clock: Clock
) -> None:
    store = machine(objects, tmp_path, clock)
    publish(store, LARGE)
    died = edited(LARGE, *KEYS[:400], release="died")
    store.claim(store.presumed(), plan_of(died))
    left = Base.of(died)
    objects.bodies[f"manifests/{left.name}.json"] = left.text.encode()
    clock.now_ms += CLAIM_MS

    publish(machine(objects, tmp_path, clock, "other"), edited(LARGE, KEYS[5]))

    assert objects.bases == [f"manifests/{Base.of(LARGE).name}.json"]


def test_a_copy_of_the_base_that_is_damaged_is_read_again(
    objects: Objects, tmp_path: Path, clock: Clock
) -> None:
    publish(machine(objects, tmp_path, clock), LARGE)
    copy = tmp_path / "me" / "manifest.json.base"
    copy.write_text(copy.read_text().replace("f1", "f2"))

    assert machine(objects, tmp_path, clock).read().manifest == LARGE
    assert machine(objects, tmp_path, clock).presumed().presumed


def test_an_overtaken_publish_says_so_although_the_base_that_it_reads_is_replaced_meanwhile(
    objects: Objects, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = machine(objects, tmp_path, clock), machine(objects, tmp_path, clock, "other")
    publish(store, LARGE)
    hold = store.claim(store.presumed(), plan_of(edited(LARGE, KEYS[3])))
    clock.now_ms += CLAIM_MS
    publish(other, edited(LARGE, *KEYS[:400], release="r3"))
    read_late = objects.bodies["manifest.json"]
    publish(other, edited(LARGE, *KEYS[200:], release="r4"))
    gets, answers = objects.get, [Response(200, {"etag": "late"}, read_late)]
    monkeypatch.setattr(objects, "get", lambda key, **how: answers.pop() if answers else gets(key, **how))

    with pytest.raises(WorkFailed, match="another publish took over"):
        hold.check()
    assert answers == []


def test_a_base_that_is_gone_is_reported_with_a_way_out(
    objects: Objects, tmp_path: Path, clock: Clock
) -> None:
    publish(machine(objects, tmp_path, clock), LARGE)
    objects.send([S3Request("DELETE", objects.bases[0])])

    with pytest.raises(WorkFailed, match="the base of the live manifest is gone") as failed:
        machine(objects, tmp_path, clock, "other").read()
    assert failed.value.hint == HINT


def test_a_base_that_was_changed_is_no_base(objects: Objects, tmp_path: Path, clock: Clock) -> None:
    publish(machine(objects, tmp_path, clock), LARGE)
    objects.bodies[objects.bases[0]] += b" "

    with pytest.raises(WorkFailed, match="is not as it was written"):
        machine(objects, tmp_path, clock, "other").read()


def test_without_its_base_a_manifest_is_read_and_written_as_changes(
    objects: Objects, tmp_path: Path, clock: Clock
) -> None:
    store = machine(objects, tmp_path, clock)
    publish(store, LARGE)
    publish(store, edited(LARGE, KEYS[3]))
    objects.asked.clear()
    changes = machine(objects, tmp_path, clock).of_changes

    live = changes.presumed().manifest
    assert (live.objects, live.dates) == ({KEYS[3]: "r2"}, {f"/{KEYS[3]}": DatedDigest("r2", 2)})
    publish(changes, edited(live, KEYS[4], release="r3"))

    assert objects.asked == ["PUT manifest.json", "PUT manifest.json"]
    expected = edited(edited(LARGE, KEYS[3]), KEYS[4], release="r3")
    assert machine(objects, tmp_path, clock).read().manifest == expected


VALUES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123"))


@settings(max_examples=50, deadline=None)
@given(VALUES, VALUES, VALUES, VALUES)
def test_any_manifest_comes_back_from_its_changes_of_any_base(
    objects: dict[str, str], dates: dict[str, str], objects_before: dict[str, str], before: dict[str, str]
) -> None:
    def manifest(of_objects: dict[str, str], of_dates: dict[str, str]) -> Manifest:
        return Manifest(
            "r", of_objects, dates={path: DatedDigest(digest, 1) for path, digest in of_dates.items()}
        )

    base = Base.of(manifest(objects_before, before))
    stored = base.changes_to(manifest(objects, dates))

    assert Base.from_json(base.text, base.name).completed(Manifest.from_json(stored.to_json())) == manifest(
        objects, dates
    )
