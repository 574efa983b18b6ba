"""Lets the emulator's IAM judge a batch of PartiQL statements as AWS does: each by what it does to a table.

The emulator asks whether the caller may call the batch itself, which is no permission that AWS knows.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
"""

import json
import re
from collections.abc import Callable

Checks = list[tuple[str, str]]

# The first word of a statement and the table it names.
STATEMENT = re.compile(
    r'\s*(SELECT|INSERT|UPDATE|DELETE)\b(?:.*?\b(?:FROM|INTO))?\s*"([A-Za-z0-9_.-]+)"', re.DOTALL
)


def statement_checks(body: bytes, table_arn: Callable[[str], str]) -> Checks:
    """What the caller of a batch must be allowed, as (action, ARN of the table) of each statement."""
    statements = [each["Statement"] for each in json.loads(body)["Statements"]]
    found = [match.groups() for match in map(STATEMENT.match, statements) if match]
    return list(dict.fromkeys((f"dynamodb:PartiQL{verb.title()}", table_arn(table)) for verb, table in found))


def judge_by_statement() -> None:
    """Have every policy check of such a batch in this process see its statements."""
    from ministack.core import iam_actions

    checks_of_transaction = iam_actions.dynamodb_transaction_checks

    def checks(iam_action: str, body: bytes, region: str, account_id: str) -> Checks:
        if iam_action == "dynamodb:BatchExecuteStatement":
            return statement_checks(
                body, lambda table: f"arn:aws:dynamodb:{region}:{account_id}:table/{table}"
            )
        found: Checks = checks_of_transaction(iam_action, body, region, account_id)
        return found

    iam_actions.dynamodb_transaction_checks = checks
