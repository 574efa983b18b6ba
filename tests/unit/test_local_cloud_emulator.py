"""Repairs of the emulator: stream marks, APIs under their AWS names, senders in policies."""

import json
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from spillway.errors import WorkFailed
from spillway.local_cloud.child import (
    bound_workers,
    bounded,
    reachable,
    sender_of,
    statement_checks,
)
from spillway.local_cloud.record import rewind, with_reset_marks
from spillway.local_cloud.strict.emulator import (
    TTL_THREAD,
    issue_secrets_of_this_run,
    stream_every_change,
)

BULK = "/v2/email/outbound-bulk-emails"


def saved(marks: dict[str, int]) -> dict[str, Any]:
    positions = {"__account_region_scoped__": True, "data": marks}
    return {"__ministack_format__": 2, "payload": {"esms": {}, "dynamodb_stream_positions": positions}}


def test_every_stream_is_read_from_its_beginning_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "lambda.json").write_text(json.dumps(saved({"entries": 120, "products": 7})))
    assert rewind(tmp_path) == 2
    assert json.loads((tmp_path / "lambda.json").read_text()) == saved({"entries": 0, "products": 0})


def test_a_first_start_has_nothing_to_rewind(tmp_path: Path) -> None:
    assert rewind(tmp_path) == 0


@pytest.mark.parametrize("text", ["", "{}", '{"payload": []}'])
def test_state_of_an_unknown_kind_is_refused_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "lambda.json").write_text(text)
    with pytest.raises(WorkFailed) as refused:
        rewind(tmp_path)
    assert "--fresh" in refused.value.hint


@pytest.mark.parametrize("content", [b"", b'{"tables": {"entr', b"\xff\x00"])
def test_a_damaged_file_of_the_state_is_refused_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lambda.json").write_text(json.dumps(saved({"entries": 120})))
    (tmp_path / "dynamodb.json").write_bytes(content)
    with pytest.raises(WorkFailed, match=r"dynamodb\.json: not the state") as refused:
        rewind(tmp_path)
    assert "--fresh" in refused.value.hint
    assert (tmp_path / "dynamodb.json").read_bytes() == content


def test_no_mark_is_none_to_rewind() -> None:
    assert with_reset_marks(saved({})) == 0


def test_an_api_is_reached_beside_the_distribution_under_the_same_path() -> None:
    origin = {
        "domain_name": "abc123.execute-api.eu-central-1.amazonaws.com",
        "origin_path": "",
        "protocol_policy": "https-only",
        "http_port": 80,
        "id": "api",
    }
    assert reachable(origin, port=8002, door_secret="secret") == {
        "domain_name": "127.0.0.1",
        "origin_path": "/_aws/execute-api/abc123",
        "protocol_policy": "http-only",
        "http_port": 8002,
        "custom_headers": [("x-spillway-door", "secret")],
        "id": "api",
    }


def test_any_other_origin_stays_as_it_is() -> None:
    bucket = {"domain_name": "pages.s3.us-east-1.amazonaws.com", "s3_bucket": "pages"}
    assert reachable(bucket, port=8002, door_secret="secret") == bucket


def test_a_sending_call_is_judged_by_the_bare_address_it_sends_from() -> None:
    body = json.dumps({"FromEmailAddress": "Fieldnotes <post@shop.example>"}).encode()
    assert sender_of(BULK, body) == "post@shop.example"


@pytest.mark.parametrize(
    ("path", "body"), [("/v2/email/account", b""), (BULK, b"{"), (BULK, b"[]"), (BULK, b"{}")]
)
def test_a_call_that_names_no_sender_has_none(path: str, body: bytes) -> None:
    assert sender_of(path, body) is None


def test_the_emulator_still_has_what_is_amended() -> None:
    from ministack import app
    from ministack.services import cloudfront

    assert callable(cloudfront.parse_distribution_dataplane_config)
    assert callable(app._enforce_ses_v2)
    assert callable(app._enforce_data_plane)


def test_a_batch_of_statements_is_judged_by_what_each_does_to_which_table() -> None:
    statements = [
        'UPDATE "entries" SET "state" = ? WHERE shopper = ?',
        'SELECT * FROM "sending" WHERE id = ?',
        'UPDATE "entries" REMOVE position WHERE shopper = ?',
        "gibberish",
    ]
    body = json.dumps({"Statements": [{"Statement": statement} for statement in statements]}).encode()
    assert statement_checks(body, lambda table: f"arn:{table}") == [
        ("dynamodb:PartiQLUpdate", "arn:entries"),
        ("dynamodb:PartiQLSelect", "arn:sending"),
    ]


@pytest.mark.parametrize(
    ("wanted", "processors", "run"), [(16, 2, 2), (16, 8, 8), (5, 8, 5), (16, 1, 2), (16, None, 2), (1, 8, 1)]
)
def test_no_more_workers_run_than_there_are_processors(wanted: int, processors: int | None, run: int) -> None:
    assert bounded(wanted, processors) == run


def test_the_emulator_asks_how_many_workers_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from ministack.services import lambda_svc

    monkeypatch.setattr(lambda_svc, "_sqs_esm_concurrency", lambda_svc._sqs_esm_concurrency)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    bound_workers()
    mapping = {"ScalingConfig": {"MaximumConcurrency": 16}}
    assert lambda_svc._sqs_esm_concurrency(mapping, {}, {}) == 3


@pytest.mark.parametrize(("thread", "records"), [(TTL_THREAD, [("t", "REMOVE", 1, None)]), ("a request", [])])
def test_a_deletion_by_ttl_has_a_stream_record_and_any_other_one_no_second(
    monkeypatch: pytest.MonkeyPatch, thread: str, records: list[Any]
) -> None:
    from ministack.services import dynamodb

    found: list[Any] = []
    # Put back at the end, as the others are.
    for name in ("_partiql_update", "_remove_item"):
        monkeypatch.setattr(dynamodb, name, getattr(dynamodb, name))
    monkeypatch.setattr(dynamodb, "_emit_stream_event", lambda *change: found.append(change))
    monkeypatch.setattr(dynamodb, "_remove_item", lambda table, *key: table["items"][key[0]].pop(key[1]))
    stream_every_change()
    table: Any = {"TableName": "t", "items": {"ada": {"A": 1}}}
    deleting = Thread(target=dynamodb._remove_item, args=(table, "ada", "A"), name=thread)
    deleting.start()
    deleting.join()
    assert (found, table["items"]) == (records, {"ada": {}})


def test_a_second_instance_of_a_function_leaves_the_secrets_of_the_first_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ministack import app
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, sts

    class Recorded(dict[str, dict[str, Any]]):
        """The sessions, with the session that is in force after each issue of credentials."""

        in_force: ClassVar[list[dict[str, Any]]] = []

        def __setitem__(self, access_key: str, session: dict[str, Any]) -> None:
            super().__setitem__(access_key, session)
            self.in_force.append(session)

    monkeypatch.setattr(app, "AUTH", True)
    monkeypatch.setattr(sts, "_sessions", Recorded())
    for module in (lambda_runtime, lambda_svc):
        monkeypatch.setattr(module, "execution_credentials", lambda_runtime.execution_credentials)
    issue_secrets_of_this_run("seed")
    api = {"FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:api", "Role": "role/api"}
    first = lambda_runtime.execution_credentials(api)
    assert lambda_svc.execution_credentials(api) == first
    # A session that is put in place again has the emulator's own secret for a moment, and refuses the first.
    assert [session["SecretAccessKey"] for session in Recorded.in_force] == [first["AWS_SECRET_ACCESS_KEY"]]
    other = lambda_runtime.execution_credentials(api | {"Role": "role/other"})
    assert other["AWS_ACCESS_KEY_ID"] != first["AWS_ACCESS_KEY_ID"]
    assert len(Recorded.in_force) == 2
