"""The checks of CloudFormation's templates: their text, their parts, and what the parts refer to.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any
from urllib.parse import urlsplit

import yaml

from spillway.local_cloud.strict.checks import AccountState
from spillway.local_cloud.strict.refusals import Refusal
from spillway.local_cloud.strict.requests import AwsCall

TEMPLATE_INLINE_BYTES_MAX = 51_200
TEMPLATE_BYTES_MAX = 1_000_000
INDICATOR = re.compile(r"(?m)[&*][A-Za-z0-9_-]")
VERSION = "2010-09-09"
SECTIONS = frozenset(
    {
        *("AWSTemplateFormatVersion", "Conditions", "Description", "Mappings", "Metadata", "Outputs"),
        *("Parameters", "Resources", "Rules", "Transform"),
    }
)
ATTRIBUTES = frozenset(
    {
        *("Condition", "CreationPolicy", "DeletionPolicy", "DependsOn", "Metadata", "Properties", "Type"),
        *("UpdatePolicy", "UpdateReplacePolicy"),
    }
)
POLICIES = frozenset({"Delete", "Retain", "RetainExceptOnCreate", "Snapshot"})
LOGICAL_ID = re.compile(r"[A-Za-z0-9]+")
NAMED_IN_TEXT = re.compile(r"\$\{([^!][^}.]*)[^}]*\}")


def template_text(call: AwsCall, account: AccountState) -> Refusal | None:
    inline = call.members.get("TemplateBody")
    if inline is not None:
        if len(inline.encode()) > TEMPLATE_INLINE_BYTES_MAX:
            return _validation_error(
                f"1 validation error detected: Value '{inline[:40]}...' at 'templateBody' failed to satisfy "
                f"constraint: Member must have length less than or equal to {TEMPLATE_INLINE_BYTES_MAX}"
            )
        return _template_format(inline) or _anatomy(inline, call)
    if "TemplateURL" not in call.members:
        return None
    bucket, _, key = urlsplit(call.members["TemplateURL"]).path.lstrip("/").partition("/")
    stored = account.stored_object(bucket, key)
    if stored is None:
        return _validation_error("S3 error: Access Denied")
    if len(stored) > TEMPLATE_BYTES_MAX:
        return _validation_error(f"Template may not exceed {TEMPLATE_BYTES_MAX} bytes in size.")
    text = stored.decode("utf-8", "replace")
    return _template_format(text) or _anatomy(text, call)


def _template_format(text: str) -> Refusal | None:
    if text.lstrip().startswith("{") or not INDICATOR.search(text):
        return None
    try:
        events = list(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        return _validation_error(
            f"Template format error: YAML not well-formed. ({str(error).splitlines()[0]})"
        )
    if any(isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) for event in events):
        return _validation_error(
            "Template format error: YAML aliases are not allowed in CloudFormation templates"
        )
    return None


def _validation_error(message: str) -> Refusal:
    return Refusal("ValidationError", message)


class _Loader(yaml.SafeLoader):
    """Reads the short form of functions as the long one."""


def _function(loader: Any, name: str, node: yaml.Node) -> dict[str, Any]:
    read = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence}
    value = read.get(type(node), loader.construct_mapping)(
        node, **({} if type(node) is yaml.ScalarNode else {"deep": True})
    )
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in {"Ref", "Condition"} else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _function)


def _anatomy(text: str, call: AwsCall) -> Refusal | None:
    # As YAML, a stack of this size takes 250 times as long to read.
    is_json = text.lstrip().startswith("{")
    try:
        template = json.loads(text) if is_json else yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (ValueError, yaml.YAMLError):
        template = None
    if not isinstance(template, dict):
        return _validation_error("Template format error: unsupported structure.")
    fault = next(_faults(template, call), None)
    return _validation_error(fault) if fault else None


def _faults(template: Mapping[str, Any], call: AwsCall) -> Iterator[str]:
    resources, parameters = template.get("Resources"), template.get("Parameters") or {}
    if template.get("AWSTemplateFormatVersion", VERSION) != VERSION:
        yield "Template format error: unsupported value for AWSTemplateFormatVersion."
    if not isinstance(resources, dict) or not resources:
        yield "Template format error: At least one Resources member must be defined."
        return
    given = {parameter["ParameterKey"] for parameter in call.members.get("Parameters", ())}
    if unknown := sorted(given - parameters.keys()):
        yield f"Parameters: [{', '.join(unknown)}] do not exist in the template"
    for name, resource in resources.items():
        yield from _resource_faults(name, resource)
    # A macro adds to a template before CloudFormation looks at these.
    if "Transform" not in template:
        yield from _expanded_faults(template, resources, parameters)


def _resource_faults(name: str, resource: Any) -> Iterator[str]:
    if not LOGICAL_ID.fullmatch(name):
        yield f"Template format error: Resource name {name} is non alphanumeric."
    if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
        yield f"Template format error: [/Resources/{name}] Every Resources object must contain a Type member."
        return
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        if isinstance(resource.get(policy), str) and resource[policy] not in POLICIES:
            yield f"Template error: Unrecognized {policy} {resource[policy]} for resource {name}"


def _expanded_faults(
    template: Mapping[str, Any], resources: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Iterator[str]:
    if foreign := sorted(template.keys() - SECTIONS):
        yield f"Invalid template property or properties [{', '.join(foreign)}]"
    conditions = {None, *(template.get("Conditions") or {})}
    needs: dict[str, set[str]] = {}
    for name, resource in resources.items():
        if foreign := sorted(resource.keys() - ATTRIBUTES):
            yield f"Invalid template resource property '{foreign[0]}'"
        depends = resource.get("DependsOn", ())
        needs[name] = {
            *_named(resource.get("Properties")),
            *([depends] if isinstance(depends, str) else depends),
        }
        if resource.get("Condition") not in conditions:
            yield f"Template format error: Unresolved condition dependency {resource['Condition']}"
    outputs = set(_named(template.get("Outputs")))
    for block, named in (("Resources", set().union(*needs.values())), ("Outputs", outputs)):
        if missing := sorted(named - resources.keys() - parameters.keys()):
            yield (
                f"Template format error: Unresolved resource dependencies [{', '.join(missing)}] "
                f"in the {block} block of the template"
            )
    try:
        TopologicalSorter({name: needed & resources.keys() for name, needed in needs.items()}).prepare()
    except CycleError as error:
        yield f"Circular dependency between resources: [{', '.join(sorted(set(error.args[1])))}]"


def _named(value: Any) -> Iterator[str]:
    """Yield the parameters and resources that a part of a template refers to."""
    if isinstance(value, list):
        for part in value:
            yield from _named(part)
    elif isinstance(value, dict):
        for word, part in value.items():
            if word == "Ref":
                yield from () if str(part).startswith("AWS::") else (str(part),)
            elif word == "Fn::GetAtt" and part:
                yield str(part).partition(".")[0] if isinstance(part, str) else str(part[0])
            elif word == "Fn::Sub":
                text, own = (part, {}) if isinstance(part, str) else (part[0], part[1])
                names = {name for name in NAMED_IN_TEXT.findall(text) if not name.startswith("AWS::")}
                yield from names - own.keys()
                yield from _named(own)
            else:
                yield from _named(part)
