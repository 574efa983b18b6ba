"""The reference of the stack's parameters, docs/parameters.md, made from the template itself.

python -m spillway.deploy.parameter_reference > docs/parameters.md
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spillway.deploy.template import OF_BUDGETS, PARAMETERS

TEMPLATE = Path(__file__).parents[2] / PARAMETERS
HEAD = """\
# Parameters of the stack

Made from .chalice/resources/parameters.yaml; a test compares them.

`spillway deploy --stage production --param NAME=VALUE` sets a parameter, as often as there are any to set. A
parameter that is not given keeps the value of the last deployment; in the first one, its default. Without a
default it is needed there.
"""


class _ParametersLoader(yaml.SafeLoader):
    """Reads a template's plain part; what its tags stand for is left out."""


_ParametersLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def read_parameters(template: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the parameters that a template declares."""
    # The loader is a SafeLoader that skips CloudFormation's tags.
    parameters: Mapping[str, Mapping[str, Any]] = yaml.load(template, Loader=_ParametersLoader)[  # noqa: S506
        "Parameters"
    ]
    return parameters


def reference(parameters: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the reference as Markdown: each parameter's meaning, its values and its default."""
    rows = ["| parameter | meaning | values | default |", "|---|---|---|---|"]
    rows += [_row(name, parameter) for name, parameter in parameters.items()]
    budget = OF_BUDGETS["Parameters"]
    note = f"Regions without AWS Budgets have no `{budget}` ([where it runs](operating.md#where-it-runs))."
    return f"{HEAD}\n{chr(10).join(rows)}\n\n{note}\n"


def _row(name: str, parameter: Mapping[str, Any]) -> str:
    allowed = ", ".join(f"`{value}`" for value in parameter.get("AllowedValues", ()))
    if not allowed:
        allowed = "a number" if parameter["Type"] == "Number" else "text"
        allowed += f", at least {parameter['MinValue']}" if "MinValue" in parameter else ""
    default = parameter.get("Default")
    shown = "needed" if default is None else f"`{default}`" if default != "" else "empty"
    return f"| `{name}` | {' '.join(parameter['Description'].split())} | {allowed} | {shown} |"


if __name__ == "__main__":
    sys.stdout.write(reference(read_parameters(TEMPLATE.read_text(encoding="utf-8"))))
