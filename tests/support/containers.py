"""Containers for tests: the real class, with other clients or with stand-ins for some of its parts."""

from collections.abc import Callable
from typing import Any, NoReturn

from chalicelib.container import Container
from chalicelib.services.domain_events import EventEmitter
from chalicelib.settings import clock_ms


def container_with(*, clock_ms: Callable[[], int] = clock_ms, **parts: Any) -> Container:
    """Return a container that has these parts; a part that would have to be built is an error.

    It emits domain events nowhere, unless `event_emitter` is one of the parts.
    """
    container = Container(_no_settings, _no_client, clock_ms=clock_ms)
    nowhere: Any = None
    silent = EventEmitter(None, nowhere, lambda: None, nowhere)
    vars(container).update({"event_emitter": silent, **parts})
    return container


def _no_settings() -> NoReturn:
    raise AssertionError("this container has no settings")


def _no_client(service: str, *, attempts_max: int = 1) -> NoReturn:
    raise AssertionError(f"this container has no client of {service}, at {attempts_max} attempts or any")
