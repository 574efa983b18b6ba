"""Make the reference of the events from ARCHITECTURE.md and the triggers that the code declares."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docsite.markdown import MADE, page, table

HEAD = """\
# Events

Every effect in Spillway starts with one of these events. A request changes one row; streams of DynamoDB and
queues of SQS carry the rest. [Failures](../failures.md) says what happens when a step fails.
"""
# The modules with handlers: the file of each, and the prefix of its paths.
MODULES = {
    "app": ("app.py", "/api"),
    "merchant_routes": ("chalicelib/merchant_routes.py", "/api/merchant"),
    "merchant_action_routes": ("chalicelib/merchant_action_routes.py", "/api/merchant"),
    "merchant_people_routes": ("chalicelib/merchant_people_routes.py", "/api/merchant"),
    "report_routes": ("chalicelib/report_routes.py", "/api"),
    "event_routes": ("chalicelib/event_routes.py", "/api"),
}
KINDS = {
    "on_dynamodb_record": "DynamoDB stream",
    "on_sqs_message": "SQS queue",
    "schedule": "schedule",
}


def events_page(root: Path) -> str:
    """Return the page: each event, its trigger, what starts and what it does."""
    triggers = {
        f"{module}.{name}": trigger
        for module, (file, prefix) in MODULES.items()
        for name, trigger in _triggers((root / file).read_text(encoding="utf-8"), prefix)
    }
    rows = []
    for event, starts, effect, decided_in, done_in in _rows((root / "ARCHITECTURE.md").read_text("utf-8")):
        handlers = re.findall(r"`((?:app|\w+_routes)\.\w+)`", starts)
        trigger = (
            ", ".join(triggers[handler] for handler in handlers)
            if handlers
            else "command line"
            if "spillway " in starts
            else "dead letter queue"
        )
        code = " ".join(dict.fromkeys(part for part in (decided_in, done_in) if part))
        rows.append([event, trigger, starts, effect, code])
    return page(MADE, HEAD, table(["event", "trigger", "starts", "effect", "code"], rows))


def _rows(architecture: str) -> Iterator[list[str]]:
    section = architecture.split("## Events and reactions")[1].split("\n## ", maxsplit=1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def _triggers(source: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield each handler of a module and what triggers it. `prefix` stands before its paths."""
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call):
                continue
            match ast.unparse(decorator.func).rpartition(".")[2], decorator.args:
                case "route", [ast.Constant(value=str(path))]:
                    methods = next(word.value for word in decorator.keywords if word.arg == "methods")
                    verb = "POST" if "POST" in ast.unparse(methods) else "GET"
                    yield node.name, f"`{verb} {prefix}{path}`"
                case "schedule", [ast.Constant(value=str(rate))]:
                    yield node.name, f"schedule, `{rate}`"
                case kind, _ if kind in KINDS:
                    yield node.name, KINDS[kind]
