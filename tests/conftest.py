"""Fixtures that every test may use."""

import gc
import os
import signal
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from spillway.local_cloud.record import CloudKeys, CloudRecord
from tests.support.aws import REGION
from tests.support.clock import Clock
from tests.support.not_run import NotRun

# The process that hands out the tests runs none: heavy imports are those of fixtures.
if TYPE_CHECKING:
    from spillway.local_cloud.local_cloud import CloudSettings
    from spillway.sitegen.release import Release
    from tests.support.ses_service import SesService

# No test may reach an AWS account of the person who runs it.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
# The one account there is: this run's own, on the emulator.
KEYS = CloudKeys.random()
os.environ.update(
    AWS_ACCESS_KEY_ID=KEYS.access_key,
    AWS_SECRET_ACCESS_KEY=KEYS.secret_key,
    AWS_DEFAULT_REGION=REGION,
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
)

# Temporary files are in memory where there is room for them: writing to a disk is half of the system's CPU.
MEMORY, ROOM_BYTES_MIN = Path("/dev/shm"), 4 << 30
if MEMORY.is_dir():
    room = os.statvfs(MEMORY)
    if room.f_bavail * room.f_frsize >= ROOM_BYTES_MIN and not room.f_flag & os.ST_NOEXEC:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# No test asserts wall-clock time: Hypothesis's deadline of 200 ms fails on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

GARBAGE_THRESHOLDS = (20_000, 20, 20)

# A build server ends a run with SIGTERM: as after Ctrl-C, what tests have started must stop.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# Folders whose tests share what is slow to start.
SHARING = ("tests/browser", "tests/contract", "tests/end_to_end")


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps on one worker what shares what is slow to start: a folder's demo, a module's fixtures."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", 1)[0]
        folder = module.rsplit("/", 1)[0]
        return folder if folder.startswith(SHARING) else module


def pytest_configure(config: pytest.Config) -> None:
    """Have each run end with what was not run."""
    config.pluginmanager.register(NotRun())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without the garbage collector: nearly all of these objects stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        # Later collections leave them out. Python's own 700 new objects start one too often: 5% of all time.
        gc.freeze()
        gc.enable()
        gc.set_threshold(*GARBAGE_THRESHOLDS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """How tests are handed to workers."""
    return Together(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: tests wait for browsers, yet each worker collects all tests."""
    return (os.cpu_count() or 1) + 1


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def record_of(settings: "CloudSettings", shop_url: str = "http://shop.test") -> CloudRecord:
    """The record that a demo on this cloud leaves for other commands."""
    keys = settings.keys
    inbox_url = f"http://127.0.0.1:{settings.inbox_port}"
    return CloudRecord(
        settings.endpoint_url, settings.region, shop_url, inbox_url, keys.access_key, keys.secret_key
    )


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock()


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    """AWS in this very process, as moto plays it; one account for a module."""
    from moto import mock_aws

    with mock_aws():
        yield


@pytest.fixture(scope="session")
def local_cloud_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The emulator that the demo runs on, as strict as there, started once for all tests."""
    from spillway.local_cloud.local_cloud import CloudSettings, local_cloud

    settings = CloudSettings(tmp_path_factory.mktemp("cloud"), free_port(), free_port(), keys=KEYS)
    with local_cloud(settings):
        yield settings.endpoint_url


@pytest.fixture(scope="session")
def small_release(tmp_path_factory: pytest.TempPathFactory) -> "Release":
    """A release of two products in the real theme."""
    from spillway.sitegen.site import build
    from tests.support.small_shop import make_small_shop

    return build(make_small_shop(tmp_path_factory.mktemp("small-shop")))


@pytest.fixture(scope="session")
def german_release(tmp_path_factory: pytest.TempPathFactory) -> "Release":
    """The same shop with a German edition."""
    from spillway.sitegen.site import build
    from tests.support.german_shop import make_german_shop

    return build(make_german_shop(tmp_path_factory.mktemp("german-shop")))


@pytest.fixture(scope="session")
def ses_service() -> "SesService":
    """SES at botocore's client: making a client takes a quarter of a second."""
    from tests.support.ses_service import SesService

    return SesService()


@pytest.fixture
def ses(ses_service: "SesService") -> "Iterator[SesService]":
    """SES that accepts every email."""
    yield ses_service
    ses_service.requests.clear()
    ses_service.answer = lambda entries: ["SUCCESS"] * len(entries)
