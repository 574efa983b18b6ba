"""Make the reference of the events from ARCHITECTURE.md and the triggers that app.py declares."""

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
KINDS = {
    "on_dynamodb_record": "DynamoDB stream",
    "on_sqs_message": "SQS queue",
    "schedule": "schedule",
}


def events_page(root: Path) -> str:
    """Return the page: each event, its trigger, what starts and what it does."""
    triggers = dict(_triggers((root / "app.py").read_text(encoding="utf-8")))
    rows = []
    for event, starts, effect, decided_in, done_in in _rows((root / "ARCHITECTURE.md").read_text("utf-8")):
        handler = re.search(r"`app\.(\w+)`", starts)
        trigger = (
            triggers[handler[1]]
            if handler
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


def _triggers(source: str) -> Iterator[tuple[str, str]]:
    """Yield each handler of app.py and what triggers it."""
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
                continue
            match decorator.func.attr, decorator.args:
                case "route", [ast.Constant(value=str(path))]:
                    methods = next(word.value for word in decorator.keywords if word.arg == "methods")
                    verb = "POST" if "POST" in ast.unparse(methods) else "GET"
                    yield node.name, f"`{verb} /api{path}`"
                case "schedule", [ast.Constant(value=str(rate))]:
                    yield node.name, f"schedule, `{rate}`"
                case kind, _ if kind in KINDS:
                    yield node.name, KINDS[kind]
