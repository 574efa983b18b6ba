"""The API with boto3's own clients, over moto: some promises of each family of routes again.

The other tests of the API have AWS in memory, whose calls cost a tenth. This module shows that
boto3's requests, answers and errors make no difference.
"""

from collections.abc import Iterator

import pytest

from chalicelib.stores import boto3_client
from spillway.sitegen.release import Release
from tests.integration.test_app import (
    api,
    deployed_on,
    test_a_request_for_my_waitlists_has_the_same_answer_for_known_and_unknown_addresses,
    test_a_signup_by_script_is_accepted_and_stored,
    test_a_signup_is_one_write_and_no_read_for_every_address,
    test_a_throttled_table_says_when_to_try_again,
    test_an_address_that_is_thrown_away_is_refused_and_the_list_is_read_once,
    test_the_answer_is_the_same_for_every_address,
    test_the_lists_are_shown_left_taken_along_and_erased,
)
from tests.integration.test_inbound_events import (
    secrets,
    test_a_signed_event_changes_the_stock_and_its_repeat_and_an_older_one_do_not,
    test_a_source_without_a_secret_is_refused,
)
from tests.integration.test_merchant_actions import (
    clock,
    page,
    queues,
    test_a_repeated_post_changes_nothing_and_is_answered_alike,
    test_available_takes_two_steps_and_emails_whom_the_preview_counted,
    test_failed_jobs_are_seen_without_addresses_and_retried,
    test_no_answer_to_a_look_has_a_shoppers_address,
)
from tests.integration.test_merchant_sign_in import (
    outbox,
    sessions,
    test_a_merchant_signs_in_by_the_link_of_an_email_and_out_again,
    test_a_script_signs_in_and_out_without_a_redirect,
)
from tests.integration.test_overview import (
    cookie,
    test_the_api_answers_a_merchant_with_an_etag_and_then_304_without_a_body,
    test_the_api_answers_a_merchant_with_the_traffic_and_then_304,
)
from tests.integration.test_reports import restock, test_the_page_reads_the_reports
from tests.integration.test_webhooks_command import (
    poster,
    run,
    test_an_event_of_the_shop_is_queued_for_the_endpoint_that_wants_it,
)
from tests.support.moto_server import AwsDoor

__all__ = [
    "api",
    "clock",
    "cookie",
    "outbox",
    "page",
    "poster",
    "queues",
    "restock",
    "run",
    "secrets",
    "sessions",
    "test_a_merchant_signs_in_by_the_link_of_an_email_and_out_again",
    "test_a_repeated_post_changes_nothing_and_is_answered_alike",
    "test_a_request_for_my_waitlists_has_the_same_answer_for_known_and_unknown_addresses",
    "test_a_script_signs_in_and_out_without_a_redirect",
    "test_a_signed_event_changes_the_stock_and_its_repeat_and_an_older_one_do_not",
    "test_a_signup_by_script_is_accepted_and_stored",
    "test_a_signup_is_one_write_and_no_read_for_every_address",
    "test_a_source_without_a_secret_is_refused",
    "test_a_throttled_table_says_when_to_try_again",
    "test_an_address_that_is_thrown_away_is_refused_and_the_list_is_read_once",
    "test_an_event_of_the_shop_is_queued_for_the_endpoint_that_wants_it",
    "test_available_takes_two_steps_and_emails_whom_the_preview_counted",
    "test_failed_jobs_are_seen_without_addresses_and_retried",
    "test_no_answer_to_a_look_has_a_shoppers_address",
    "test_the_answer_is_the_same_for_every_address",
    "test_the_api_answers_a_merchant_with_an_etag_and_then_304_without_a_body",
    "test_the_api_answers_a_merchant_with_the_traffic_and_then_304",
    "test_the_lists_are_shown_left_taken_along_and_erased",
    "test_the_page_reads_the_reports",
]


@pytest.fixture(scope="module")
def deployed(german_release: Release) -> Iterator[AwsDoor]:
    """The small shop on moto, by the clients of a Lambda function."""
    from moto import mock_aws

    with mock_aws(), deployed_on(boto3_client, german_release) as door:
        yield door
