"""The stack's template, and what a deployment changes by it.

The template is one file a subject under .chalice/resources/, merged into one. Chalice merges the result into
the template of its functions and API: mappings merge, lists and values replace what Chalice wrote.
docs/reference/parameters.md is made from the parameters: `make reference`.

A change set names what a deployment changes. One that imports takes tables, buckets and secrets that outlived
a stack into a new one: it creates a stack of those resources alone, with no outputs and no macro, and the
deployment after it adds the rest.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from spillway.errors import BadInput

if TYPE_CHECKING:
    from rich.table import Table

# libyaml takes a tenth of the time; a PyYAML built without it lacks these two.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
RESOURCES = Path(".chalice/resources")
PARAMETERS = RESOURCES / "parameters.yaml"

# Regions of AWS with every service of the stack. CloudFormation refuses a template with a type that its
# region does not have, whatever the conditions say. A test compares the lists with cfn-lint's schemas.
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
# The parts of the template that only the budget needs, by section.
OF_BUDGETS = {"Resources": "MonthlyBudget", "Conditions": "HasBudget", "Parameters": "MonthlyBudgetUsd"}


def merged_resources(root: Path) -> str:
    """Return the files under .chalice/resources/ of the project at `root`, merged into one YAML document.

    Tags, anchors and the order of files (by name) stay.

    Raises:
        BadInput: there is no file, a file is no mapping of sections, or two definitions have the same name.
    """
    files = sorted((root / RESOURCES).glob("*.yaml"))
    if not files:
        raise BadInput(
            f"{root}: no {RESOURCES}/*.yaml: there is no application to package",
            hint="run spillway in a checkout of the whole project",
        )
    sections: dict[str, yaml.MappingNode] = {}
    defined_in: dict[tuple[str, str], str] = {}
    for file in files:
        document = yaml.compose(file.read_text(encoding="utf-8"), Loader=_LOADER)
        for section, body in _pairs(document, file):
            for name, _ in _pairs(body, file):
                other = defined_in.setdefault((section.value, name.value), file.name)
                if other != file.name or _count(body, name.value) > 1:
                    raise BadInput(
                        f"{RESOURCES / file.name}: {section.value} {name.value} is defined twice",
                        hint=f"the other definition is in {other}",
                    )
            if section.value in sections:
                sections[section.value].value.extend(body.value)
            else:
                sections[section.value] = body
    merged = yaml.MappingNode(
        "tag:yaml.org,2002:map",
        [(yaml.ScalarNode("tag:yaml.org,2002:str", section), body) for section, body in sections.items()],
    )
    return str(yaml.serialize(merged, Dumper=_DUMPER, allow_unicode=True, width=1000))


def require_region(region: str) -> None:
    """Verify that the stack can be deployed in `region`.

    Raises:
        BadInput: a service is missing there.
    """
    if region not in COMPLETE | WITHOUT_BUDGETS:
        raise BadInput(
            f"region {region}: not every service of the stack is known to be there",
            hint=f"set AWS_REGION to one of {', '.join(sorted(COMPLETE | WITHOUT_BUDGETS))}",
        )


def for_region(template: Mapping[str, Any], region: str) -> dict[str, Any]:
    """Return the template without the resource types that `region` does not have."""
    if region not in WITHOUT_BUDGETS:
        return dict(template)
    return {
        section: {name: part for name, part in parts.items() if name != OF_BUDGETS[section]}
        if section in OF_BUDGETS
        else parts
        for section, parts in template.items()
    }


def _pairs(node: yaml.Node | None, file: Path) -> list[tuple[yaml.ScalarNode, yaml.MappingNode]]:
    if not isinstance(node, yaml.MappingNode):
        raise BadInput(f"{RESOURCES / file.name}: expected a mapping", hint="sections such as Resources: {}")
    pairs: list[tuple[yaml.ScalarNode, yaml.MappingNode]] = node.value
    return pairs


def _count(body: yaml.MappingNode, name: str) -> int:
    return sum(key.value == name for key, _ in body.value)


class _PlainLoader(yaml.SafeLoader):
    """Reads a template's plain values; None stands for a value with a tag."""


_PlainLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def plain_values(template: str) -> Mapping[str, Any]:
    """Return the sections of a template; None stands for a value that the deployment sets (`!Ref`)."""
    # The loader is a SafeLoader that skips CloudFormation's tags.
    sections: Mapping[str, Any] = yaml.load(template, Loader=_PlainLoader)  # noqa: S506
    return sections


NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One resource that a deployment adds, modifies or removes. `replaced`: "yes", "no", "maybe"."""

    action: str
    logical_id: str
    resource_type: str
    replaced: str = "no"

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "ResourceChange":
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
    changes: tuple[ResourceChange, ...]

    @property
    def leaves_data(self) -> tuple[str, ...]:
        """The resources with data that the stack goes on without, by logical id."""
        return tuple(
            change.logical_id
            for change in self.changes
            if change.resource_type in IDENTIFIERS and (change.action == "Remove" or change.replaced == "yes")
        )

    def table(self) -> "Table":
        """Return the changes for a person, most drastic first."""
        from rich.table import Table

        table = Table("Action", "Resource", "Type", "Replaced", box=None, pad_edge=False)
        for change in sorted(self.changes, key=_by_severity):
            table.add_row(change.action, change.logical_id, change.resource_type, change.replaced)
        return table


def _by_severity(change: ResourceChange) -> tuple[int, int, str]:
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
            hint=f"docs/reference/parameters.md says what each means; it has: {', '.join(sorted(names))}",
        )
    sent: list[dict[str, Any]] = [
        {"ParameterKey": name, "ParameterValue": value} for name, value in sorted(given.items())
    ]
    kept = (deployed & names) - set(given)
    return sent + [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)]


# In JSON, to a parameter or a resource.
REFERENCE = re.compile(r'"Fn::GetAtt":|"Ref": "(?!AWS::)|\$\{(?!AWS::)')
KEEPS_DATA = frozenset({"Retain", "RetainExceptOnCreate"})
# The property by which CloudFormation finds a resource of the type; a secret's is its ARN.
IDENTIFIERS = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SecretsManager::Secret": "Id",
}


def import_template(template: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the template of an import: the named resources, without what parameters or others decide.

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
        "Resources": {name: _by_itself(kept[name]) for name in sorted(names)},
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


def _by_itself(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource without references to what an import leaves out; the next deployment adds them."""
    properties = _undecided(resource.get("Properties", {}))
    alone = {name: value for name, value in properties.items() if not REFERENCE.search(json.dumps(value))}
    return {name: part for name, part in resource.items() if name != "DependsOn"} | {"Properties": alone}


def _undecided(value: Any) -> Any:
    """Return `value` without the members that an Fn::If chooses: the next deployment sets them."""
    if isinstance(value, dict):
        return {
            key: _undecided(part)
            for key, part in value.items()
            if not (isinstance(part, dict) and "Fn::If" in part)
        }
    return [_undecided(part) for part in value] if isinstance(value, list) else value
