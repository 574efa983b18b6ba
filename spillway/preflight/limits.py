"""Limits: what AWS documents, what the template sets, and what was read from the account instead."""

from dataclasses import dataclass, fields, replace
from datetime import date
from enum import StrEnum
from typing import Any

AS_OF = date(2026, 11, 23)


class Origin(StrEnum):
    """How a limit is known."""

    DOCUMENTED = "documented default"
    TEMPLATE = "template"
    ACCOUNT = "read from the account"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, with where it stands written."""

    value: float
    unit: str
    source: str
    origin: Origin = Origin.DOCUMENTED

    def now(self, value: float, origin: Origin) -> "Limit":
        """This limit, with a value that is better known."""
        return replace(self, value=value, origin=origin)


_DOCS = "https://docs.aws.amazon.com"
_CLOUDFRONT = f"{_DOCS}/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html"
_S3 = f"{_DOCS}/AmazonS3/latest/userguide/optimizing-performance.html"
_API = f"{_DOCS}/apigateway/latest/developerguide/limits.html"
_LAMBDA = f"{_DOCS}/lambda/latest/dg/gettingstarted-limits.html"
_SCALING = f"{_DOCS}/lambda/latest/dg/scaling-behavior.html"
_WARM = f"{_DOCS}/amazondynamodb/latest/developerguide/warm-throughput.html"
_PARTITION = f"{_DOCS}/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
_SES = f"{_DOCS}/ses/latest/dg/quotas.html"
_SECRETS = f"{_DOCS}/secretsmanager/latest/userguide/reference_limits.html"
_TEMPLATE = ".chalice/resources.yaml"


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit that a flood can run into. Documented ones are those of a grown account in production.

    New accounts begin with a lower concurrency, and every account with SES's sandbox: only reading
    the account tells.
    """

    cdn_requests_per_s: Limit = Limit(250_000, "requests/s", _CLOUDFRONT)
    cdn_bits_per_s: Limit = Limit(150e9, "bit/s", _CLOUDFRONT)
    origin_reads_per_s: Limit = Limit(5_500, "GET/s", _S3)
    api_calls_per_s: Limit = Limit(5_000, "calls/s", _TEMPLATE, Origin.TEMPLATE)
    api_burst_calls: Limit = Limit(5_000, "calls", _TEMPLATE, Origin.TEMPLATE)
    account_api_calls_per_s: Limit = Limit(10_000, "calls/s", _API)
    concurrency: Limit = Limit(1_000, "environments", _LAMBDA)
    provisioned: Limit = Limit(0, "environments", _TEMPLATE, Origin.TEMPLATE)
    new_environments_per_10_s: Limit = Limit(1_000, "environments/10 s", _SCALING)
    calls_per_environment_s: Limit = Limit(10, "calls/s", _SCALING)
    table_write_units_per_s: Limit = Limit(4_000, "write units/s", _WARM)
    index_write_units_per_s: Limit = Limit(4_000, "write units/s", _WARM)
    partition_write_units_per_s: Limit = Limit(1_000, "write units/s", _PARTITION)
    emails_per_s: Limit = Limit(14, "emails/s", _SES)
    emails_per_day: Limit = Limit(50_000, "emails/24 h", _SES)
    secret_reads_per_s: Limit = Limit(10_000, "calls/s", _SECRETS)

    def known(self, origin: Origin, **values: float) -> "Limits":
        """These limits, with some of them better known.

        Raises:
            TypeError: a name is none of a limit.
        """
        return replace(
            self, **{name: getattr(self, name).now(value, origin) for name, value in values.items()}
        )

    def raised(self, **values: float) -> "Limits":
        """These limits, with some of them at least as high as given: the account after its fixes."""
        higher = {name: max(value, getattr(self, name).value) for name, value in values.items()}
        return self.known(Origin.GIVEN, **higher)

    def to_document(self) -> dict[str, Any]:
        """Every limit with its source, ready for JSON."""
        return {
            field.name: {
                "value": getattr(self, field.name).value,
                "unit": getattr(self, field.name).unit,
                "origin": getattr(self, field.name).origin,
                "source": getattr(self, field.name).source,
                "as_of": AS_OF.isoformat(),
            }
            for field in fields(self)
        }


# SES's sandbox: every account begins in it.
SANDBOX_EMAILS_PER_DAY = 200
