"""Every module that a Lambda function imports until its first event is done: function_imports.txt lists them.

A cold start pays for each. After a change that is meant, `python -m tests.integration.test_function_imports`
writes the file, and its difference is what the change does to cold starts.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from chalicelib.domain.tokens import FormTokens, Offer
from chalicelib.settings import Settings, clock_ms
from tests.support.aws import ROOT

LISTED = Path(__file__).with_name("function_imports.txt")
ROOT_KEY = "root"
# Modules of the standard library that take long; the others differ between versions of Python.
HEAVY = frozenset(
    {
        *("asyncio", "bz2", "concurrent.futures", "ctypes", "decimal", "difflib", "email.message"),
        *("http.client", "http.cookiejar", "importlib.metadata", "inspect", "multiprocessing", "pickle"),
        *("random", "socket", "sqlite3", "ssl", "subprocess", "tarfile", "tempfile", "unittest"),
        *("urllib.request", "uuid", "xml.etree.ElementTree", "zipfile", "zoneinfo"),
    }
)
# The most modules that the API has imported after its first signup, those of Python among them.
API_MODULES_MAX = 130
# Modules that a signup never waits for.
NEVER_IN_A_SIGNUP = frozenset(
    {"boto3", "botocore", "urllib3", "jinja2", "markupsafe", "asyncio", "uuid", "email_validator", "idna"}
)
# Settings that few shops have.
NOT_SET = frozenset({"smtp_secret", "shop_origin"})
HOUR = {
    "version": "0",
    "id": "1",
    "account": "1",
    "region": "us-east-1",
    "source": "aws.events",
    "detail": {},
    "detail-type": "Scheduled Event",
    "time": "2026-11-28T09:00:00Z",
    "resources": [],
}
EVERY_FUNCTION, SIGN_UP = "every function", "app.sign_up"

# Runs in an interpreter of its own. Each function gets its first event in a fork: one import serves all.
CHILD = """
import json, os, sys
before = set(sys.modules)
import app
from chalice.app import CloudWatchEvent, EventSourceHandler
start = set(sys.modules)
events = json.loads(sys.argv[1])
functions = {
    f"app.{name}": value for name, value in vars(app).items() if isinstance(value, EventSourceHandler)
}
functions["app.sign_up"] = app.app
found = {"every function": sorted(start - before)}
for name, function in functions.items():
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            if name == "app.sign_up":
                app.container.warm_up()
            is_hourly = getattr(function, "event_class", None) is CloudWatchEvent
            answer = function(events[name if name in events else "hour" if is_hourly else "records"], None)
        except BaseException as error:
            answer = repr(error)
        with os.fdopen(writer, "w") as line:
            json.dump([sorted(set(sys.modules) - start), repr(answer)], line)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as line:
        found[name] = json.load(line)
    os.waitpid(child, 0)
print(json.dumps(found), file=sys.stderr)
"""


class Aws(BaseHTTPRequestHandler):
    """Answers a request for a secret, and every other one with nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        secret = {"SecretString": json.dumps({"root": ROOT_KEY})}
        asked = self.headers.get("x-amz-target", "").endswith("GetSecretValue")
        body = json.dumps(secret if asked else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def aws() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Aws) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def signup() -> dict[str, object]:
    """Return the event of a signup, as API Gateway sends it."""
    token = FormTokens.of(ROOT_KEY.encode(), at_ms=clock_ms()).sign(Offer.of(["HAT"]))
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    return {
        **dict.fromkeys(("queryStringParameters", "multiValueQueryStringParameters", "pathParameters")),
        "resource": "/waitlist",
        "path": "/waitlist",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "stageVariables": None,
        "requestContext": {"httpMethod": "POST", "resourcePath": "/waitlist", "requestId": "1"},
        "body": f"email=ada%40example.com&sku=HAT&page=%2Fproducts%2Fhat&form_token={token}&knot=",
        "isBase64Encoded": False,
    }


@cache
def imported() -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the modules that each function imports, and what each answered to its first event."""
    names = {field.name for field in fields(Settings)} - NOT_SET
    events = {SIGN_UP: signup(), "hour": HOUR, "records": {"Records": []}}
    with aws() as url:
        environment = {
            **{name.upper(): f"{url}/{name}" if name.endswith("_url") else name for name in names},
            **{name.upper(): "1" for name in names if name.endswith(("_max", "_s"))},
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_ENDPOINT_URL": url,
            "PATH": os.environ["PATH"],
        }
        words = [sys.executable, "-c", CHILD, json.dumps(events)]
        done = subprocess.run(words, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    found = json.loads(done.stderr.splitlines()[-1])
    start = found.pop(EVERY_FUNCTION)
    modules = {EVERY_FUNCTION: start} | {name: more for name, (more, _) in found.items()}
    return modules, {name: answer for name, (_, answer) in found.items()}


def listed(modules: Iterable[str]) -> list[str]:
    """Return our own modules, libraries by their names, and heavy modules of Python."""
    found = set()
    for module in modules:
        top = module.partition(".")[0]
        if top in {"app", "chalicelib"} or module in HEAVY:
            found.add(module)
        elif top not in sys.stdlib_module_names and not top.startswith("_"):
            found.add(top)
    return sorted(found)


def as_text() -> str:
    modules, _ = imported()
    lines = []
    for name, names in modules.items():
        title = name if name == EVERY_FUNCTION else f"{name}, beside that, until its first event is done"
        lines += [f"# {title}", *listed(names), ""]
    return "\n".join(lines)


def test_a_function_imports_the_modules_that_are_listed_and_no_other() -> None:
    assert as_text() == LISTED.read_text(encoding="utf-8")


def test_a_first_signup_is_stored_with_few_modules_and_no_sdk() -> None:
    modules, answers = imported()
    needed = modules[EVERY_FUNCTION] + modules[SIGN_UP]

    assert "'statusCode': 202" in answers[SIGN_UP]
    assert len(needed) <= API_MODULES_MAX
    assert not NEVER_IN_A_SIGNUP & {name for module in needed for name in (module, module.partition(".")[0])}


if __name__ == "__main__":
    LISTED.write_text(as_text(), encoding="utf-8")
