"""Make the reference of the stack's parameters from .chalice/resources/parameters.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docsite.markdown import MADE, page, table
from spillway.deploy.template import OF_BUDGETS, PARAMETERS, plain_values

HEAD = """\
# Stack parameters

`spillway deploy --stage production --param NAME=VALUE` sets a parameter; repeat `--param` for more. One that
is not given keeps the value of the last deployment, and in the first deployment its default. A parameter
without a default must be given in the first deployment.
"""


def parameters_page(root: Path) -> str:
    """Return the page: each parameter's meaning, values and default."""
    parameters = plain_values((root / PARAMETERS).read_text(encoding="utf-8"))["Parameters"]
    rows = [_row(name, parameter) for name, parameter in parameters.items()]
    note = (
        f"Regions without AWS Budgets have no `{OF_BUDGETS['Parameters']}`"
        " ([regions and runtimes](../operating.md#regions-and-runtimes))."
    )
    return page(MADE, HEAD, table(["parameter", "meaning", "values", "default"], rows), note)


def _row(name: str, parameter: Mapping[str, Any]) -> list[str]:
    allowed = ", ".join(f"`{value}`" for value in parameter.get("AllowedValues", ()))
    if not allowed:
        allowed = "a number" if parameter["Type"] == "Number" else "text"
        allowed += f", at least {parameter['MinValue']}" if "MinValue" in parameter else ""
    default = parameter.get("Default")
    shown = "needed" if default is None else f"`{default}`" if default != "" else "empty"
    return [f"`{name}`", " ".join(parameter["Description"].split()), allowed, shown]
