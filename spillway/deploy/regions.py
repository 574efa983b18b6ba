"""The regions of AWS that have every service of the stack, or all but budgets.

CloudFormation refuses a template with a type that its region does not have, whatever the conditions say.
A test compares the lists with cfn-lint's schemas.
"""

from collections.abc import Mapping
from typing import Any

from spillway.errors import BadInput

COMPLETE = frozenset(
    {
        *("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
        *("ca-central-1", "eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "me-south-1"),
        *("sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    }
)
WITHOUT_BUDGETS = frozenset(
    {
        *("af-south-1", "ap-northeast-3", "ap-south-2", "ap-southeast-3", "ap-southeast-5", "ca-west-1"),
        *("eu-central-2", "eu-north-1", "eu-south-1", "il-central-1", "me-central-1"),
    }
)
# What the template has for the sake of its budget, by section.
OF_BUDGETS = {"Resources": "MonthlyBudget", "Conditions": "HasBudget", "Parameters": "MonthlyBudgetUsd"}


def require_region(region: str) -> None:
    """Check that the stack can be deployed in `region`.

    Raises:
        BadInput: a service is missing there.
    """
    if region not in COMPLETE | WITHOUT_BUDGETS:
        raise BadInput(
            f"region {region}: not every service of the stack is known to be there",
            hint=f"set AWS_REGION to one of {', '.join(sorted(COMPLETE | WITHOUT_BUDGETS))}",
        )


def for_region(template: Mapping[str, Any], region: str) -> dict[str, Any]:
    """Return the template without what `region` has no type for."""
    if region not in WITHOUT_BUDGETS:
        return dict(template)
    return {
        section: {name: part for name, part in parts.items() if name != OF_BUDGETS[section]}
        if section in OF_BUDGETS
        else parts
        for section, parts in template.items()
    }
