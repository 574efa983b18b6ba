"""A change set: what a deployment changes, the parameters it sends, and the resources it imports.

An import takes tables, buckets and secrets that outlived a stack into a new one. It creates a stack of those
resources alone: its template holds nothing else, no outputs and no macro. The deployment after it adds the
rest. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from spillway.errors import BadInput

NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that a deployment adds, modifies or removes. `replaced`: "yes", "no", "maybe"."""

    action: str
    logical_id: str
    resource_type: str
    replaced: str = "no"

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Change":
        """Return a change as DescribeChangeSet reports it."""
        change = answer["ResourceChange"]
        replacement = change.get("Replacement", "False")
        return cls(
            change["Action"],
            change["LogicalResourceId"],
            change["ResourceType"],
            {"True": "yes", "Conditional": "maybe"}.get(replacement, "no"),
        )


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """The changes of one deployment to a stack."""

    id: str
    stack_name: str
    creates_stack: bool
    changes: tuple[Change, ...]

    def table(self) -> Table:
        """Return the changes for a person, most drastic first."""
        table = Table("Action", "Resource", "Type", "Replaced", box=None, pad_edge=False)
        for change in sorted(self.changes, key=_drastic_first):
            table.add_row(change.action, change.logical_id, change.resource_type, change.replaced)
        return table


def _drastic_first(change: Change) -> tuple[int, int, str]:
    actions = ("Remove", "Modify", "Add")
    rank = actions.index(change.action) if change.action in actions else len(actions)
    return (("yes", "maybe", "no").index(change.replaced), rank, change.logical_id)


def is_empty(status_reason: str) -> bool:
    """Return whether CloudFormation refused a change set only because nothing changes."""
    return any(words in status_reason for words in NO_CHANGES)


def parameters_for(
    declared: Sequence[Mapping[str, Any]], given: Mapping[str, str], deployed: frozenset[str]
) -> list[dict[str, Any]]:
    """Return the parameters to send: those given, and for those the stack has already, what they are.

    Raises:
        BadInput: a given one is unknown, or one without a default is neither given nor deployed.
    """
    names = {parameter["ParameterKey"] for parameter in declared}
    unknown = sorted(set(given) - names)
    required = {parameter["ParameterKey"] for parameter in declared if "DefaultValue" not in parameter}
    missing = sorted(required - set(given) - deployed)
    if unknown or missing:
        meanings = {each["ParameterKey"]: each.get("Description", "") for each in declared}
        mistakes = [f"--param {name}: the template has no such parameter" for name in unknown]
        mistakes += [
            f"--param {name}=VALUE: needed, since it has no default. {meanings[name]}".rstrip()
            for name in missing
        ]
        raise BadInput(
            "\n  ".join(mistakes),
            hint=f"docs/parameters.md says what each means; it has: {', '.join(sorted(names))}",
        )
    sent: list[dict[str, Any]] = [
        {"ParameterKey": name, "ParameterValue": value} for name, value in sorted(given.items())
    ]
    kept = (deployed & names) - set(given)
    return sent + [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)]


KEEPS_DATA = frozenset({"Retain", "RetainExceptOnCreate"})
# The property by which CloudFormation finds a resource of the type; a secret's is its ARN.
IDENTIFIERS = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SecretsManager::Secret": "Id",
}


def import_template(template: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the template of an import: the named resources, without what a parameter decides.

    Args:
        template: the stack's own, as it is uploaded.
        names: physical names by logical id.

    Raises:
        BadInput: a logical id is no resource of the template that outlives its stack.
    """
    kept = {
        name: resource
        for name, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") in KEEPS_DATA and resource["Type"] in IDENTIFIERS
    }
    unknown = sorted(set(names) - set(kept))
    if unknown:
        raise BadInput(
            f"--adopt {unknown[0]}: no resource that outlives its stack",
            hint=f"these do: {', '.join(sorted(kept))}",
        )
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {name: _undecided(kept[name]) for name in sorted(names)},
    }


def resources_to_import(template: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the ResourcesToImport of CreateChangeSet for the resources of an import's template."""
    return [
        {
            "ResourceType": resource["Type"],
            "LogicalResourceId": name,
            "ResourceIdentifier": {IDENTIFIERS[resource["Type"]]: names[name]},
        }
        for name, resource in template["Resources"].items()
    ]


def _undecided(value: Any) -> Any:
    """Return `value` without the members that an Fn::If chooses: the next deployment sets them."""
    if isinstance(value, dict):
        return {
            key: _undecided(part)
            for key, part in value.items()
            if not (isinstance(part, dict) and "Fn::If" in part)
        }
    return [_undecided(part) for part in value] if isinstance(value, list) else value
