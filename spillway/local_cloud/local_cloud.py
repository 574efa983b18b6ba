"""The local cloud: an emulator of AWS as a child process that never outlives its command."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import httpx

from spillway.errors import BadInput, WorkFailed
from spillway.local_cloud import LAMBDA_INVOCATIONS_MAX, processes
from spillway.local_cloud.child import STOP_WITHIN_S
from spillway.local_cloud.record import (
    DOOR_HEADER,
    LAMBDA_CONCURRENCY,
    SAVE_EVERY_S,
    CloudKeys,
    LayerSettings,
    rewind,
)

START_WITHIN_S = 60.0
LOG_LINES_SHOWN = 15
PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """Where the local cloud keeps its state and answers, and how it differs from an account on AWS.

    Args:
        home: the folder of all that it keeps, readable by its owner alone.
        port: where it answers.
        inbox_port: where the inbox answers that emails pass through.
        region: the region it plays.
        enforce_iam: whether the policies of the callers' roles count.
        strict: whether calls are held to AWS's models and rules; signatures are checked in any case.
        keys: who may call it.
        invocations_max: how often a function may run in one chain of requests.
        concurrency: the account's quota of concurrent executions.
        save_every_s: how many seconds of work are lost at most when it is killed.
    """

    home: Path
    port: int
    inbox_port: int
    region: str = "us-east-1"
    enforce_iam: bool = True
    strict: bool = True
    keys: CloudKeys = field(default_factory=CloudKeys.random, repr=False)
    invocations_max: int = LAMBDA_INVOCATIONS_MAX
    concurrency: int = LAMBDA_CONCURRENCY
    save_every_s: float = SAVE_EVERY_S

    @property
    def endpoint_url(self) -> str:
        """Where every AWS call goes."""
        return f"http://{processes.HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """The log of the emulator and the functions."""
        return self.home / "cloud.log"

    @property
    def state(self) -> Path:
        """The emulator's state between two starts, except objects in S3."""
        return self.home / "state"

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the emulator's environment. Nothing of the operator's own AWS account may reach it."""
        kept = {name: value for name, value in inherited.items() if not name.startswith("AWS_")}
        layer = LayerSettings(
            self.keys.door_secret,
            (self.port, self.inbox_port),
            self.strict,
            self.invocations_max,
            self.concurrency,
            self.save_every_s,
        )
        return (
            kept
            | layer.as_environment()
            | {
                "AUTH": str(self.enforce_iam).lower(),
                "AWS_ACCESS_KEY_ID": self.keys.access_key,
                "AWS_SECRET_ACCESS_KEY": self.keys.secret_key,
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_DEFAULT_REGION": self.region,
                "AWS_EC2_METADATA_DISABLED": "true",
                # Emails pass through the inbox, which keeps what the emulator drops: their headers.
                "AWS_ENDPOINT_URL_SESV2": f"http://{processes.HOST}:{self.inbox_port}",
                "BIND_HOST": processes.HOST,
                "GATEWAY_PORT": str(self.port),
                "IOT_MTLS_ENABLED": "0",
                "MINISTACK_REGION": self.region,
                "NO_PROXY": f"{processes.HOST},localhost",
                "PERSIST_STATE": "1",
                "PYTHONUNBUFFERED": "1",
                "S3_DATA_DIR": str(self.home / "objects"),
                "S3_PERSIST": "1",
                "SFTP_ENABLED": "0",
                "STATE_DIR": str(self.state),
                "TMPDIR": str(self.home / "tmp"),
            }
        )


@dataclass(frozen=True, slots=True)
class LocalCloud:
    """A local cloud that runs."""

    settings: CloudSettings
    process: subprocess.Popen[bytes]

    def wait(self) -> NoReturn:
        """Wait while it runs, until a signal stops this command.

        Raises:
            WorkFailed: it stopped by itself.
        """
        self.process.wait()
        raise _stopped_by_itself(self.settings, self.process)


@contextmanager
def local_cloud(settings: CloudSettings) -> Iterator[LocalCloud]:
    """Run the local cloud for as long as the block lasts; its state is kept.

    Raises:
        BadInput: another demo runs in this folder, or the port is taken.
        WorkFailed: the emulator did not come up.
    """
    make_private(settings.home)
    with _only_one(settings.home):
        processes.stop_orphan(settings.home, within_s=STOP_WITHIN_S)
        processes.require_free(settings.port, "the local cloud", in_a_row=processes.DEMO_PORTS)
        rewind(settings.state)
        _empty(settings.home / "tmp")
        process = _start(settings)
        try:
            processes.write_pid(settings.home, process.pid)
            _await_health(settings, process)
            yield LocalCloud(settings, process)
        finally:
            _stop(process)
            processes.remove_pid(settings.home)


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can look into: it holds addresses, links that work, and keys."""
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
    folder.chmod(PRIVATE)


def erase(home: Path) -> None:
    """Forget all the local cloud knows.

    Raises:
        BadInput: a demo runs in this folder.
    """
    if not home.exists():
        return
    with _only_one(home):
        processes.stop_orphan(home, within_s=STOP_WITHIN_S)
        for entry in home.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(
                "a demo of this shop is running already",
                hint="use it, or stop it with Ctrl-C in its terminal",
            ) from error
        yield


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _start(settings: CloudSettings) -> subprocess.Popen[bytes]:
    with settings.log.open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
            [sys.executable, "-m", "spillway.local_cloud.child", str(settings.home)],
            env=settings.environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _await_health(settings: CloudSettings, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    url = f"{settings.endpoint_url}/_ministack/health"
    headers = {DOOR_HEADER: settings.keys.door_secret}
    with httpx.Client(trust_env=False, timeout=2) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise _stopped_by_itself(settings, process)
            try:
                if client.get(url, headers=headers).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
    raise _failed(settings, f"the local cloud did not answer within {START_WITHIN_S:.0f} s")


def _stopped_by_itself(settings: CloudSettings, process: subprocess.Popen[bytes]) -> WorkFailed:
    return _failed(settings, f"the local cloud stopped by itself (status {process.returncode})")


def _failed(settings: CloudSettings, what: str) -> WorkFailed:
    lines = settings.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    shown = "\n".join(f"    {line}" for line in lines) or "    (its log is empty)"
    return WorkFailed(f"{what}; its last words:\n{shown}", hint=f"the whole log is {settings.log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    # First the emulator alone, so that it can save its state; then whatever functions it leaves.
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    processes.end_group(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
