"""Take tables, buckets and secrets that outlived a stack into a new one, by CloudFormation's resource import.

An import creates a stack of the imported resources alone: its template holds nothing else, no outputs and no
macro. The deployment after it adds the rest.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html
"""

from collections.abc import Mapping
from typing import Any

from spillway.errors import BadInput

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
    """Return `value` without the members that an Fn::If chooses: the next deployment brings them."""
    if isinstance(value, dict):
        return {
            key: _undecided(part)
            for key, part in value.items()
            if not (isinstance(part, dict) and "Fn::If" in part)
        }
    return [_undecided(part) for part in value] if isinstance(value, list) else value
