"""Problem documents (RFC 9457), the content of every 4xx and 5xx answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

PROBLEM_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class FieldError:
    """The error of one field of a form, in words for the person that filled it in.

    `text` is ours, translated by catalogues, with places for `values`. A library's more exact words, which
    are English only, are `particulars`.
    """

    name: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    particulars: str = ""

    @property
    def detail(self) -> str:
        """The error in English."""
        return self.particulars or self.text % self.values


class Problem(Exception):
    """A request that cannot be served, and what to do about it.

    `back_path` is the page a refused form came from; `retry_after_s` says when to try again. `again` are
    the fields of a form that is complete, and only has to be sent once more.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: tuple[FieldError, ...] = (),
        *,
        back_path: str = "/",
        retry_after_s: int | None = None,
        again: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.back_path = back_path
        self.retry_after_s = retry_after_s
        self.again = again

    def document(self) -> dict[str, Any]:
        """Return the members of RFC 9457, the `errors` by field, and the fields to send `again`."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [{"field": error.name, "detail": error.detail} for error in self.errors]
        if self.again:
            document["again"] = [{"field": name, "value": value} for name, value in self.again]
        return document
