"""Tables, buckets and queues for tests, made as the stack makes them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import yaml

from spillway.deploy.template import merged_resources

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"
CREATE_TABLE_PROPERTIES = (
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "GlobalSecondaryIndexes",
)


class _CloudFormationLoader(yaml.CSafeLoader):
    """Reads a template's short tags ("!Ref X") as their long form, {"Ref": "X"}."""


def _tagged(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix == "Ref" else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(cast("yaml.MappingNode", node), deep=True)}


_CloudFormationLoader.add_multi_constructor("!", _tagged)


@cache
def template() -> Mapping[str, Any]:
    """The stack's own template, as data."""
    # The loader is a SafeLoader that knows CloudFormation's tags.
    document: Mapping[str, Any] = yaml.load(merged_resources(ROOT), Loader=_CloudFormationLoader)
    return document


def create_table(client: Any, logical_id: str) -> str:
    """Make the table that the template calls `logical_id`, under a name of its own; give the name."""
    name = f"{logical_id}-{uuid4().hex[:8]}"
    properties = template()["Resources"][logical_id]["Properties"]
    schema = {key: properties[key] for key in CREATE_TABLE_PROPERTIES if key in properties}
    # A parameter of the stack says how warm an index is; no test has a stack.
    indexes = schema.get("GlobalSecondaryIndexes", ())
    cold = [{key: value for key, value in index.items() if key != "WarmThroughput"} for index in indexes]
    schema |= {"GlobalSecondaryIndexes": cold} if cold else {}
    client.create_table(TableName=name, **schema)
    return name
