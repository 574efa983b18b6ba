"""Load goes to this machine and nowhere else."""

import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.guard import require_loopback
from spillway.errors import BadInput

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "host", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000", "https://127.8.9.10"]
)
def test_this_machine_may_be_loaded(host: str) -> None:
    assert require_loopback(host) == host


@pytest.mark.parametrize(
    "host",
    [
        "https://www.ordinaryweather.example",
        "http://192.168.1.20:8000",
        "http://0.0.0.0:8000",
        "http://127.0.0.1@shop.example",
        "http://127.0.0.1.shop.example",
        "http://localhost.shop.example",
        "http://shop.example/127.0.0.1",
        "127.0.0.1:8000",
        "ftp://127.0.0.1",
        "http://[127.0.0.1",
        "",
        None,
    ],
)
def test_another_machine_may_not(host: str | None) -> None:
    with pytest.raises(BadInput, match="this machine alone"):
        require_loopback(host)


def test_locust_refuses_before_it_sends_anything() -> None:
    words = ["-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--host", "https://shop.example"]
    ran = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 2
    assert "--host https://shop.example: load is sent to this machine alone" in ran.stderr
    assert "Traceback" not in ran.stderr
