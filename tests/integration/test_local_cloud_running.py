"""The local cloud runs, keeps what it knows, and goes with its command. Each of these starts a real one."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spillway.errors import BadInput, WorkFailed
from spillway.local_cloud import processes
from spillway.local_cloud.local_cloud import CloudSettings, local_cloud
from spillway.stage import local_stage
from tests.conftest import free_port, record_of

pytestmark = pytest.mark.local_cloud

WITHIN_S = 30.0
COPIER = """
import boto3

def handle(event, context):
    for record in event["Records"]:
        boto3.client("dynamodb").put_item(TableName="copies", Item=record["dynamodb"]["NewImage"])
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
ALL_TABLES = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}],
}
DEMO = """
import signal
import sys
from pathlib import Path
from spillway.local_cloud.local_cloud import CloudSettings, local_cloud

# Whoever runs the tests in the background may have us ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
with local_cloud(CloudSettings(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))) as cloud:
    print(cloud.process.pid, flush=True)
    cloud.wait()
"""


@pytest.fixture
def settings(tmp_path: Path) -> CloudSettings:
    return CloudSettings(tmp_path / "local", free_port(), free_port())


def until(happens: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not happens():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    return not processes.command_line(pid)


@pytest.mark.slow
def test_records_written_after_a_restart_reach_their_function(settings: CloudSettings) -> None:
    stage = local_stage(record_of(settings))
    dynamodb, functions = stage.client("dynamodb"), stage.client("lambda")

    def put(key: str) -> None:
        dynamodb.put_item(TableName="originals", Item={"id": {"S": key}})
        until(lambda: "Item" in dynamodb.get_item(TableName="copies", Key={"id": {"S": key}}))

    with local_cloud(settings):
        for table in ("originals", "copies"):
            dynamodb.create_table(
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
            )
        stage.client("iam").create_role(RoleName="copier", AssumeRolePolicyDocument=json.dumps(TRUST))
        stage.client("iam").put_role_policy(
            RoleName="copier", PolicyName="copier", PolicyDocument=json.dumps(ALL_TABLES)
        )
        functions.create_function(
            FunctionName="copier",
            Runtime=f"python3.{sys.version_info.minor}",
            Role="arn:aws:iam::000000000000:role/copier",
            Handler="copier.handle",
            Code={"ZipFile": zipped("copier.py", COPIER)},
        )
        functions.create_event_source_mapping(
            FunctionName="copier",
            EventSourceArn=dynamodb.describe_table(TableName="originals")["Table"]["LatestStreamArn"],
            StartingPosition="LATEST",
        )
        put("before")
    with local_cloud(settings):
        put("after")
        assert "Item" in dynamodb.get_item(TableName="copies", Key={"id": {"S": "before"}})
        assert len(functions.list_event_source_mappings()["EventSourceMappings"]) == 1


def test_while_one_runs_its_folder_and_its_port_are_refused_and_a_failure_inside_ends_it(
    settings: CloudSettings, tmp_path: Path
) -> None:
    elsewhere = CloudSettings(tmp_path / "elsewhere", settings.port, free_port())

    def fail_inside() -> None:
        with local_cloud(settings) as cloud:
            pids.append(cloud.process.pid)
            with pytest.raises(BadInput, match="running already"), local_cloud(settings):
                pass
            with pytest.raises(BadInput, match=f"port {settings.port}"), local_cloud(elsewhere):
                pass
            assert not gone(pids[0])
            raise RuntimeError("inside")

    pids: list[int] = []
    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert gone(pids[0])


def test_a_cloud_that_stops_by_itself_is_reported_with_its_last_words(settings: CloudSettings) -> None:
    with local_cloud(settings) as cloud:
        os.kill(cloud.process.pid, signal.SIGTERM)
        with pytest.raises(WorkFailed, match="stopped by itself") as failed:
            cloud.wait()
    assert "shutting down" in failed.value.message


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_the_cloud_goes_with_its_command_however_that_goes(
    settings: CloudSettings, number: signal.Signals
) -> None:
    words = [sys.executable, "-c", DEMO, str(settings.home), str(settings.port), str(settings.inbox_port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as demo:
        assert demo.stdout is not None
        cloud_pid = int(demo.stdout.readline())
        assert processes.orphan_of(settings.home) == cloud_pid
        demo.send_signal(number)
    # Started at once, while the other one may still be on its way out.
    with local_cloud(settings) as cloud:
        assert cloud.process.pid != cloud_pid
        assert gone(cloud_pid)


def test_state_saved_while_it_ran_survives_a_kill_and_is_private(settings: CloudSettings) -> None:
    settings = replace(settings, save_every_s=0.05)
    dynamodb = local_stage(record_of(settings)).client("dynamodb")
    saved = settings.state / "dynamodb.json"
    with local_cloud(settings) as cloud:
        dynamodb.create_table(
            TableName="kept",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        dynamodb.put_item(TableName="kept", Item={"id": {"S": "accepted"}})
        until(lambda: saved.is_file() and '"accepted"' in saved.read_text())
        assert saved.stat().st_mode & 0o077 == 0
        assert settings.home.stat().st_mode & 0o777 == 0o700
        cloud.process.kill()
        cloud.process.wait()
    with local_cloud(settings):
        assert dynamodb.get_item(TableName="kept", Key={"id": {"S": "accepted"}})["Item"]


def zipped(name: str, text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
    return content.getvalue()
