"""The demo from outside: what it prints, how it ends, what it leaves behind."""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from spillway.local_cloud.shopper import Shopper
from spillway.project import Project
from tests.end_to_end.demo import DemoProcess, checkout, free_ports, open_demo

pytestmark = [
    pytest.mark.local_cloud,
    pytest.mark.skipif(sys.platform != "linux", reason="what still runs is read from /proc"),
]

STORY_WITHIN_S = 240.0
SIZE_M = "FJ-MOSS-M"
PAGE = "/products/field-jacket"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One checkout for all: what one demo leaves is what the next one finds."""
    return checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def port() -> int:
    """The demo's first port: the same for every start, as links in emails name it."""
    return free_ports()


@pytest.fixture
def ada(port: int) -> Iterator[Shopper]:
    """A shopper with one address through every start of the demo."""
    with ExitStack() as open_:
        shop, inbox = (
            open_.enter_context(
                httpx.Client(base_url=f"http://127.0.0.1:{item}", trust_env=False, timeout=30)
            )
            for item in (port, port + 1)
        )
        yield Shopper("Ada", "ada@example.com", shop, inbox)


def test_a_taken_port_is_named_before_any_work_is_done(project: Project, port: int) -> None:
    for taken, purpose in ((port, "the shop"), (port + 1, "the inbox"), (port + 2, "the local cloud")):
        with socket.create_server(("127.0.0.1", taken)):
            demo = DemoProcess.start(project, port)
            assert demo.ends() == 2
        assert f"port {taken}, for {purpose}, is taken by process {os.getpid()} (" in demo.printed
        assert "--port" in demo.printed
        assert "Traceback" not in demo.printed


def test_the_story_is_played_to_its_end_step_by_step(project: Project, port: int) -> None:
    demo = DemoProcess.start(project, port, "--check", "--fresh")
    try:
        status = demo.ends(within_s=STORY_WITHIN_S)
    finally:
        demo.stop()

    assert status == 0, demo.printed
    steps = demo.printed.splitlines()
    assert all(step.startswith("✓ ") for step in steps), demo.printed
    for sentence in (
        "Read the catalogue",
        "Start the local cloud",
        "Package what Lambda runs",
        "Deploy it",
        "Build and publish the shop",
        "Ada and Ben ask for",
        "Dora's password manager fills in every field: she sends the form once more",
        "Each is sent one email; opening its link changes nothing, its button confirms",
        "comes back: its page says so",
        "Ada, Ben and Dora are notified once each, whatever addresses stand between; Cleo is not",
        "sells out: Ada, Ben and Dora ask again, and confirm",
        "Ada unsubscribes with one click in her mail program, which posts it as plain text",
        "A complaint about Dora's email of yesterday comes: she gets no more, all others do",
        "It comes back, and its stock flaps: Ben is notified once, Ada and Dora are not",
        "comes back: Cleo is notified; nobody gets an email too many",
        "the front page says so",
    ):
        assert sum(sentence in step for step in steps) >= 1, sentence


@pytest.mark.slow
def test_a_signup_outlives_a_stop_and_two_starts_that_were_cut_short(
    project: Project, port: int, ada: Shopper
) -> None:
    with open_demo(project, port) as demo:
        ada.signs_up(PAGE, SIZE_M)
        (email,) = ada.awaits_emails(1)
        assert any("spillway.local_cloud.child" in words for words in demo.running())
        assert demo.send_signal(signal.SIGTERM) == 143
        assert "Traceback" not in demo.printed

    # In mid-start: the emulator is coming up; then it runs, and the stack is looked at.
    for last_step, asked_by, status in (
        ("Read the catalogue", signal.SIGINT, 130),
        ("Package what Lambda runs", signal.SIGTERM, 143),
    ):
        cut_short = DemoProcess.start(project, port)
        try:
            cut_short.prints(f"✓ {last_step}")
            assert cut_short.send_signal(asked_by) == status
        finally:
            cut_short.stop()
        assert "Stopped. The state is kept" in cut_short.printed
        assert "Traceback" not in cut_short.printed
        assert "Ctrl-C stops everything" not in cut_short.printed, "it was open by then"

    with open_demo(project, port) as demo:
        assert ada.awaits_emails(1) == [email]
        ada.presses(ada.opens(email.link("/api/confirm")))
        assert demo.send_signal(signal.SIGINT) == 130
        assert "Traceback" not in demo.printed


@pytest.mark.slow
def test_old_addresses_root_files_and_odd_pictures_are_served_at_the_front_door(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    project, port = checkout(tmp_path_factory.mktemp("odd")), free_ports()
    old = {
        "/old/jacket": "/old/jacket",
        "/old/jacket/": "/old/jacket",
        "/products/field-jacket/caf%C3%A9%20x?utm=1": "/products/field-jacket/café x",
        "/jacket.html": "/jacket.html",
        "/de/alt": "/de/alt",
    }
    rows = dict.fromkeys(old.values(), "/products/field-jacket") | {"/de/alt": "/de"}
    (project.site / "redirects.toml").write_text(
        "[redirects]\n" + "".join(f'"{source}" = "{target}"\n' for source, target in rows.items())
    )
    well_known = project.site / "root/.well-known"
    well_known.mkdir(parents=True)
    (well_known / "apple-app-site-association").write_bytes(b'{"applinks": {}}')
    pictures = project.site / "pictures"
    odd = "a, b+c 100%25 q?x #1.webp"
    (pictures / "watch-cap-rust.webp").rename(pictures / odd)
    cap = project.site / "products/watch-cap.toml"
    cap.write_text(cap.read_text().replace("watch-cap-rust.webp", odd))

    with (
        open_demo(project, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as shop,
    ):
        for path, source in old.items():
            answer = shop.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert f'content="0; url={rows[source]}"' in answer.text
            assert shop.get(rows[source]).status_code == 200
        answer = shop.get("/.well-known/apple-app-site-association")
        assert (answer.content, answer.headers["content-type"]) == (b'{"applinks": {}}', "application/json")
        page = shop.get("/products/watch-cap").text
        addresses = {*re.findall(r"/pictures/[^\s\"]+", page)}
        assert any(address.startswith("/pictures/a-b-plus-c-100-25-q-x-1-") for address in addresses)
        for address in addresses:
            assert shop.get(address).headers["content-type"].startswith("image/")
        assert shop.get("/old").status_code == 404
