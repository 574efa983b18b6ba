"""ARCHITECTURE.md is true: imports, events and reactions, the tree; the prose is plain."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from chalicelib.settings import Settings
from chalicelib.tables.merchant import MerchantRowKind
from chalicelib.tables.sending import SendingRowKind
from spillway.commands import COMMANDS
from spillway.sitegen import cache
from tests.support.aws import ROOT, template

ARCHITECTURE = ROOT / "ARCHITECTURE.md"

# Which parts of chalicelib a part may import, itself aside. `app`, the events and the container put
# everything together.
MAY_IMPORT = {
    "aws": set[str](),
    "domain": set[str](),
    "clock": set[str](),
    "log": set[str](),
    "batches": {"log"},
    "settings": set[str](),
    "keys": set[str](),
    "queues": {"domain", "outbound"},
    "rules": {"domain"},
    "storefront": {"domain"},
    "tables": {"aws", "domain", "inbound", "outbound", "rules"},
    "mail": {"domain"},
    "storage": {"domain", "storefront"},
    "services": {
        *("aws", "domain", "inbound", "log", "mail", "outbound", "queues", "rules", "storage", "storefront"),
        "tables",
    },
    "http": {"aws", "domain", "inbound", "log", "storefront"},
    "inbound": {"domain"},
    "outbound": {"domain", "inbound"},
}
# Actions that AWS knows no resource for.
WITHOUT_A_RESOURCE = {
    "cloudwatch:GetMetricData",
    # A tenant may be named; the list of an account, which has none, is everything.
    "ses:DeleteSuppressedDestination",
    "ses:GetAccount",
}
READING_TABLES = {f"dynamodb:{action}" for action in ("GetItem", "BatchGetItem", "Query")}
# Functions that no shopper calls: streams, queues and the clock do.
BY_THEMSELVES = ("app.on_", "app.schedule(")
# Modules with views beside app.py.
ROUTES = (
    *("event_routes", "merchant_routes", "merchant_action_routes", "merchant_people_routes"),
    "report_routes",
)
PUTS_TOGETHER = {
    *("events", "container", "stores", "inbound_parts", "merchant_parts", "rule_parts", "webhook_parts"),
    *ROUTES,
}


def imported(file: Path) -> Iterator[str]:
    """The modules a file imports, also inside functions and for type checking only."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str:
    """The part of chalicelib a module belongs to: "tables" for chalicelib.tables.entries."""
    return module.split(".")[1]


CLOUD_FILES = sorted((ROOT / "chalicelib").rglob("*.py"))


def against_the_arrows(file: Path) -> set[str]:
    """Return what a module of the cloud imports and may not."""
    modules = set(imported(file))
    outside = {module for module in modules if module.split(".")[0] in {"app", "spillway", "tests"}}
    inside = file.relative_to(ROOT / "chalicelib").with_suffix("").parts
    if inside == ("__init__",) or inside[0] in PUTS_TOGETHER:
        return outside
    parts = {part_of(module) for module in modules if module.startswith("chalicelib.")}
    return outside | (parts - MAY_IMPORT[inside[0]] - {inside[0]})


def test_imports_follow_the_arrows() -> None:
    assert {file: wrong for file in CLOUD_FILES if (wrong := against_the_arrows(file))} == {}


def test_no_module_of_the_product_has_more_than_400_lines() -> None:
    files = [ROOT / "app.py", *(ROOT / "chalicelib").rglob("*.py"), *(ROOT / "spillway").rglob("*.py")]
    sizes = {file: len(file.read_text().splitlines()) for file in files}
    assert sizes
    assert {file: size for file, size in sizes.items() if size > 400} == {}


def test_a_class_that_other_modules_see_has_its_name_alone() -> None:
    files = [ROOT / "app.py", *(ROOT / "chalicelib").rglob("*.py"), *(ROOT / "spillway").rglob("*.py")]
    places: dict[str, list[Path]] = {}
    for file in files:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(file)
    assert places
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_benchmarks_and_load_tests_import_no_test() -> None:
    files = [file for top in ("benchmarks", "loadtests") for file in sorted((ROOT / top).rglob("*.py"))]
    assert files
    assert not [file for file in files if any(belongs_to(module, {"tests"}) for module in imported(file))]


# A server, a process, AWS at its edge or a whole shop: tests/integration/ is for these.
NOT_IN_UNIT_TESTS = {
    *("aiosmtpd", "http.server", "moto.mock_aws", "multiprocessing", "socket", "socketserver", "subprocess"),
    *(f"tests.support.{name}" for name in ("fake_s3", "memory_shop", "moto_server", "publish_env", "shop")),
    "tests.integration",
}


def test_a_unit_test_starts_no_server_and_no_process_and_plays_no_whole_shop() -> None:
    files = sorted((ROOT / "tests" / "unit").glob("*.py"))
    assert files
    assert not [
        (file.name, module)
        for file in files
        for module in imported(file)
        if belongs_to(module, NOT_IN_UNIT_TESTS)
    ]


def test_the_middle_is_pure() -> None:
    impure = {
        "boto3",
        "botocore",
        "chalice",
        "http",
        "os",
        "random",
        "socket",
        "time",
        "urllib.request",
        "uuid",
    }
    for file in (ROOT / "chalicelib" / "domain").rglob("*.py"):
        assert not [module for module in imported(file) if belongs_to(module, impure)], file


def belongs_to(module: str, packages: set[str]) -> bool:
    """True for a module that is one of these, or inside of one."""
    return any(module == name or module.startswith(f"{name}.") for name in packages)


def test_a_module_belongs_to_the_packages_above_it_and_to_no_other() -> None:
    assert belongs_to("urllib.request.urlopen", {"urllib.request"})
    assert belongs_to("os", {"os"})
    assert not belongs_to("urllib.parse.quote", {"urllib.request"})
    assert not belongs_to("oslo", {"os"})


def started_by(*decorators: str, file: str = "app.py") -> set[str]:
    """The functions of a file that have one of these decorators."""
    return {
        node.name
        for node in ast.parse((ROOT / file).read_text()).body
        if isinstance(node, ast.FunctionDef)
        if any(ast.unparse(decorator).startswith(decorators) for decorator in node.decorator_list)
    }


def test_the_table_of_events_names_every_handler_and_no_other() -> None:
    table = ARCHITECTURE.read_text().split("## Events and reactions")[1].split("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("|")]
    named = re.findall(r"`(app|\w+_routes)\.(\w+)`", "\n".join(rows))
    assert len(named) == len(set(named))
    handlers = {("app", name) for name in started_by("app.route(", *BY_THEMSELVES)}
    handlers |= {
        (module, name) for module in ROUTES for name in started_by("route(", file=f"chalicelib/{module}.py")
    }
    assert set(named) == handlers


def test_every_fault_of_a_fan_out_is_played_by_the_tests_it_names() -> None:
    table = (ROOT / "docs" / "failures.md").read_text().split("## Faults of a fan-out")[1].split("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("|")][2:]
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    for row in rows:
        played_by = row.rsplit("|", 2)[1]
        named = re.findall(r"`(\w+)`", played_by)
        assert named or played_by.strip() == "the same", row
        assert not [name for name in named if not re.search(rf"(def|class) {name}\(", tests)], row


def test_the_tree_names_every_package() -> None:
    tree = ARCHITECTURE.read_text().split("## The tree")[1].split("\n\n")[1].split()
    packages = {
        file.parent.name for top in ("chalicelib", "spillway") for file in (ROOT / top).glob("*/__init__.py")
    }
    assert not [name for name in packages if f"{name}/" not in tree]


def test_every_file_named_in_the_architecture_exists() -> None:
    words = ARCHITECTURE.read_text().replace("`", " ").replace("(", " ").replace(")", " ").split()
    named = {
        word.rstrip(".,:;")
        for word in words
        if word.startswith(("chalicelib/", "spillway/", "site/", ".chalice/"))
    }
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]


# Modules that a build imports and that decide no byte of it: messages, the preview's server, a type.
DECIDES_NO_BYTE = {
    "spillway.errors",
    "spillway.terminal",
    "starlette",
    "chalicelib.services.waitlist.Awaited",
}
DISTRIBUTIONS = {"fontTools": "fonttools", "markdown_it": "markdown-it-py", "PIL": "pillow"}


def test_a_build_is_made_again_when_code_or_a_library_that_decides_its_bytes_changes() -> None:
    folders = (ROOT / part for part in cache.CODE if (ROOT / part).is_dir())
    modules = {module for folder in folders for file in folder.rglob("*.py") for module in imported(file)}
    covered = {part.removesuffix(".py").replace("/", ".") for part in cache.CODE} | DECIDES_NO_BYTE
    libraries = {
        DISTRIBUTIONS.get(name, name.replace("_", "-"))
        for name in {module.partition(".")[0] for module in modules if not belongs_to(module, covered)}
        if name not in sys.stdlib_module_names
    }
    assert libraries == set(cache.LIBRARIES)


def test_every_module_named_in_the_docs_exists() -> None:
    module = re.compile(r"\b(?:chalicelib|spillway|tests|benchmarks|loadtests)/[\w/]+\.py\b")
    named = [
        (file, name) for file in (ROOT / "docs").rglob("*.md") for name in module.findall(file.read_text())
    ]
    assert named
    assert not [(file, name) for file, name in named if not (ROOT / name).exists()]


def test_every_command_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "reference" / "commands.md").read_text()
    assert not [name for name in COMMANDS if f"spillway {name}" not in text]


def test_every_setting_is_set_by_the_template() -> None:
    document = template()
    common = set(document["Globals"]["Function"]["Environment"]["Variables"])
    own = {
        name
        for resource in document["Resources"].values()
        for name in resource.get("Properties", {}).get("Environment", {}).get("Variables", {})
    }
    # Needed for every answer, also where the others are missing: app.py reads it by itself.
    assert {field.name.upper() for field in fields(Settings)} | {"METRICS_NAMESPACE"} == common | own


def test_every_function_has_a_role_and_a_log_of_its_own() -> None:
    resources = template()["Resources"]
    functions = [name for name in resources if name == "APIHandler" or f"{name}Role" in resources]
    assert len(functions) == len(started_by(*BY_THEMSELVES)) + 1
    for name in functions:
        properties = resources[name]["Properties"]
        assert properties["Role"] == {"Fn::GetAtt": f"{name}Role.Arn"}
        assert properties["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}LogGroup"}}


def test_no_role_may_do_anything_to_everything() -> None:
    for name, resource in template()["Resources"].items():
        for policy in resource.get("Properties", {}).get("Policies", []):
            for item in policy["PolicyDocument"]["Statement"]:
                # One that only some shops need is in force under a condition.
                statement = item["Fn::If"][1] if "Fn::If" in item else item
                anything = "*" in listed(statement["Resource"])
                assert not anything or set(listed(statement["Action"])) <= WITHOUT_A_RESOURCE, name
                assert "*" not in str(statement["Action"]), name


def held_to(table: str) -> set[str]:
    """The keys of a table's rows that some role is held to."""
    statements = [
        statement
        for resource in template()["Resources"].values()
        for policy in resource.get("Properties", {}).get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        if statement.get("Resource") == {"Fn::GetAtt": f"{table}.Arn"} and "Condition" in statement
    ]
    return {
        row.removesuffix("*")
        for statement in statements
        for test in statement["Condition"].values()
        for row in test["dynamodb:LeadingKeys"]
    }


def test_a_role_that_is_held_to_rows_of_a_table_names_rows_that_are_there() -> None:
    read = {SendingRowKind.WAVE, SendingRowKind.NOTIFIED, SendingRowKind.RECEIVED}
    acted_on = {SendingRowKind.POLICY, SendingRowKind.ACCESS, SendingRowKind.HEALTH}
    controlled = {SendingRowKind.RATE, SendingRowKind.ALERT_STATE, SendingRowKind.AUTOPILOT_BOUNDS}
    assert held_to("SendingTable") == {SendingRowKind.WEBHOOK} | controlled | read | acted_on
    assert held_to("MerchantTable") <= set(MerchantRowKind)


def test_no_function_adds_a_merchant_or_changes_the_audit() -> None:
    assert not held_to("MerchantTable") & {MerchantRowKind.MERCHANT, MerchantRowKind.SETTING}
    for name, resource in template()["Resources"].items():
        for policy in resource.get("Properties", {}).get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement.get("Resource") != {"Fn::GetAtt": "MerchantTable.Arn"}:
                    continue
                rows = [
                    row
                    for test in statement.get("Condition", {}).values()
                    for row in test["dynamodb:LeadingKeys"]
                ]
                writing = set(listed(statement["Action"])) - READING_TABLES
                assert rows or not writing, name
                assert MerchantRowKind.AUDIT not in rows or writing == {"dynamodb:PutItem"}, name


def listed(value: Any) -> list[Any]:
    """A policy may give one thing alone, or a list."""
    return value if isinstance(value, list) else [value]
