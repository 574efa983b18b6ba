"""Hold requests to AWS's own service models, as boto3 does before it sends one."""

from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any

from botocore.exceptions import ParamValidationError
from botocore.validate import ParamValidator

from spillway.local_cloud.strict.requests import service_model
from spillway.local_cloud.strict.validation import AnyShape

_VALIDATOR = ParamValidator()
# Tests send the same forms by the thousand, and the validator takes ten times as long as a look into this.
_known_good: set[Hashable] = set()


def check_request(service: str, operation: str, members: Mapping[str, Any]) -> None:
    """Raise what boto3 raises for a request that the service's model does not know.

    Args:
        service: botocore's name of the service, such as "dynamodb".
        operation: AWS's name of the call, such as "PutItem".
        members: The keyword arguments that boto3 is called with.

    Raises:
        ParamValidationError: A member is missing, unknown or of another type.
    """
    form = (service, operation, _form(members))
    if form in _known_good:
        return
    found = _VALIDATOR.validate(members, _input_of(service, operation))
    if found.has_errors():
        raise ParamValidationError(report=found.generate_report())
    _known_good.add(form)


def _form(value: Any) -> Hashable:
    """Return all that the validator looks at: names and types, which strings are empty, and other values."""
    kind = type(value)
    if kind is str:
        return bool(value)
    if kind is dict:
        form: list[Hashable] = [*value]
        for inner in value.values():
            # Most are strings and AttributeValues: a call for each would take longer than all else here.
            if type(inner) is str:
                form.append(bool(inner))
            elif type(inner) is dict and len(inner) == 1:
                ((name, content),) = inner.items()
                form.append((name, bool(content) if type(content) is str else _form(content)))
            else:
                form.append(_form(inner))
        return tuple(form)
    if kind is list or kind is tuple:
        return (list, *[_form(inner) for inner in value])
    if isinstance(value, Mapping):
        return _form(dict(value))
    return kind, value if isinstance(value, int | float) else None


@cache
def _input_of(service: str, operation: str) -> AnyShape:
    return service_model(service).operation_model(operation).input_shape
