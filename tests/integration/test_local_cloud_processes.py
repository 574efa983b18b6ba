"""A local cloud never outlives its demo, and what is left of one is recognised."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spillway.errors import BadInput
from spillway.local_cloud import processes
from spillway.local_cloud.local_cloud import CloudSettings, erase
from spillway.local_cloud.record import CloudRecord

SLEEPER = "import sys, signal; print('ready', flush=True); signal.pause()"


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own that claims to be the local cloud of `tmp_path`."""
    words = [sys.executable, "-c", SLEEPER, processes.MODULE, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


@pytest.mark.parametrize(("in_a_row", "others"), [(1, "another one"), (3, "3 others in a row")])
def test_a_taken_port_is_named_with_its_holder_and_the_way_out(in_a_row: int, others: str) -> None:
    with processes.claim_port(0, "the shop") as taken:
        port = taken.getsockname()[1]
        taken.listen()
        with pytest.raises(BadInput) as refused:
            processes.claim_port(port, "the inbox", in_a_row=in_a_row)
    program = "another program"
    if Path("/proc/self/net/tcp").exists():
        program = rf"process {os.getpid()} \(.*python.*\)"
    assert re.fullmatch(f"port {port}, for the inbox, is taken by {program}", refused.value.message)
    assert refused.value.hint == f"stop it, or choose {others} with --port"


def test_a_port_without_a_server_has_no_holder() -> None:
    with processes.claim_port(0, "the shop") as claimed:
        assert processes.port_holder(claimed.getsockname()[1]) is None


def test_a_port_is_claimed_on_this_machine_alone() -> None:
    with processes.claim_port(0, "the shop") as claimed:
        assert claimed.getsockname()[0] == "127.0.0.1"


def test_a_cloud_that_outlived_its_demo_is_found_and_stopped(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    processes.write_pid(tmp_path, sleeper.pid)
    assert processes.orphan_of(tmp_path) == sleeper.pid
    assert processes.stop_orphan(tmp_path, within_s=5)
    assert sleeper.wait(5) == -signal.SIGTERM
    assert processes.orphan_of(tmp_path) is None


def test_another_program_with_the_recorded_id_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    processes.write_pid(elsewhere, sleeper.pid)
    assert not processes.stop_orphan(elsewhere, within_s=5)
    assert sleeper.poll() is None


@pytest.mark.parametrize("record", ["", "[]", '{"pid": "none"}'])
def test_a_broken_record_is_no_leftover(tmp_path: Path, record: str) -> None:
    (tmp_path / processes.PID_FILE).write_text(record)
    assert processes.orphan_of(tmp_path) is None


def test_nothing_of_the_operators_own_account_reaches_the_local_cloud(tmp_path: Path) -> None:
    inherited = {"AWS_PROFILE": "production", "AWS_SECRET_ACCESS_KEY": "real", "PATH": "/bin"}
    environment = CloudSettings(tmp_path, 8002, 8001).environment(inherited)
    assert environment["PATH"] == "/bin"
    assert "AWS_PROFILE" not in environment
    assert "real" not in environment.values()
    assert environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert environment["BIND_HOST"] == "127.0.0.1"


def test_the_record_of_a_running_demo_is_read_back_until_it_is_removed(tmp_path: Path) -> None:
    record = CloudRecord(
        "http://127.0.0.1:8002",
        "us-east-1",
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8001",
        "AKIAROOT",
        "the root's secret",
    )
    record.write(tmp_path)
    record.write(tmp_path)
    assert stat.S_IMODE((tmp_path / "cloud.json").stat().st_mode) == 0o600
    assert "the root's secret" not in repr(record)
    assert (CloudRecord.read(tmp_path), record.port) == (record, 8002)
    CloudRecord.remove(tmp_path)
    assert CloudRecord.read(tmp_path) is None


def test_a_fresh_start_erases_everything_but_the_lock(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "dynamodb.json").write_text("{}")
    (tmp_path / "cloud.log").write_text("words")
    erase(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["lock"]


def test_nobody_listens_on_a_port_that_was_only_claimed() -> None:
    with processes.claim_port(0, "the shop") as claimed:
        assert not processes.port_answers(claimed.getsockname()[1])
        claimed.listen()
        assert processes.port_answers(claimed.getsockname()[1])
    assert isinstance(claimed, socket.socket)


def test_a_record_of_another_version_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "cloud.json").write_text(json.dumps({"endpoint": "http://127.0.0.1:1"}))
    assert CloudRecord.read(tmp_path) is None
