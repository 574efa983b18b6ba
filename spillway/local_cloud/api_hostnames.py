"""Lets the emulated CloudFront reach the emulated APIs under the names they have on AWS.

The emulator's CloudFront dials no host of Amazon's, so an origin like ID.execute-api.REGION.amazonaws.com
would answer 502, though that very API runs beside it. The deployed template is the same everywhere; what
is different about a laptop is put right here, in the emulator's process.
"""

import re
from collections.abc import Mapping
from typing import Any

from spillway.local_cloud.ports import HOST
from spillway.local_cloud.record import DOOR_HEADER

API_DOMAIN = re.compile(r"(?P<id>[a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")


def reachable(origin: Mapping[str, Any], *, port: int, door_secret: str) -> dict[str, Any]:
    """The emulator's view of an origin, with an API's AWS name replaced by where it answers locally.

    The emulator's own door opens to `door_secret`.
    """
    api = API_DOMAIN.fullmatch(origin["domain_name"])
    if api is None:
        return dict(origin)
    return dict(origin) | {
        "domain_name": HOST,
        "http_port": port,
        "protocol_policy": "http-only",
        "custom_headers": [*origin.get("custom_headers", ()), (DOOR_HEADER, door_secret)],
        "origin_path": f"/_aws/execute-api/{api['id']}{origin.get('origin_path') or ''}",
    }


def make_own_apis_reachable(port: int, door_secret: str) -> None:
    """Apply `reachable` to every distribution of the emulator in this process, which answers on `port`."""
    from ministack.services import cloudfront

    parse = cloudfront.parse_distribution_dataplane_config

    def parse_reachable(distribution: Mapping[str, Any]) -> dict[str, Any]:
        config: dict[str, Any] = parse(distribution)
        origins = {
            name: reachable(origin, port=port, door_secret=door_secret)
            for name, origin in config["origins"].items()
        }
        return config | {"origins": origins}

    cloudfront.parse_distribution_dataplane_config = parse_reachable
