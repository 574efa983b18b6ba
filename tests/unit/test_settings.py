from dataclasses import fields

import pytest

from chalicelib.settings import OPTIONAL, Settings, SettingsMissing

REQUIRED = {name.upper(): name for name in (field.name for field in fields(Settings)) if name not in OPTIONAL}


def test_an_optional_setting_that_is_absent_or_empty_is_none() -> None:
    settings = Settings.from_environment({**REQUIRED, "SMTP_SECRET": ""})
    absent = (settings.distribution_id, settings.smtp_secret, settings.shop_origin, settings.api_function)
    assert absent == (None, None, None, None)
    assert (settings.autopilot_mode, settings.dead_letter_queue_urls, settings.api_concurrency_max) == (
        None,
        (),
        0,
    )


def test_a_required_setting_that_is_absent_or_empty_is_named() -> None:
    given = {name: value for name, value in REQUIRED.items() if name != "WAVES_QUEUE_URL"}
    with pytest.raises(SettingsMissing, match=r"^not set in the environment: PAGES_BUCKET, WAVES_QUEUE_URL$"):
        Settings.from_environment({**given, "PAGES_BUCKET": ""})


def test_a_function_that_cannot_work_without_a_setting_names_it() -> None:
    settings = Settings.from_environment({**REQUIRED, "DISTRIBUTION_ID": "E1"})
    assert settings.known("distribution_id") == "E1"
    with pytest.raises(SettingsMissing, match=r"^not set in the environment: API_FUNCTION$"):
        settings.known("api_function")
