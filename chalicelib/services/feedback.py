"""What came of letters: kept on the entry, suppressed where it must be, and watched as a whole.

SES pauses an account whose letters bounce or are complained about. We stop first: paused letters wait
in their queues, and leave when somebody has looked into it and resumes.
"""

import json
from collections.abc import Callable

from chalicelib.domain.feedback import Feedback, Health, NoFeedback, feedback_from
from chalicelib.log import log
from chalicelib.services.pace import Pace
from chalicelib.tables.health import HealthTable
from chalicelib.tables.suppressions import SuppressionsTable


class FeedbackDesk:
    """Takes in what SES says. Every step may be repeated; a repeat changes nothing."""

    def __init__(
        self,
        health: HealthTable,
        suppressions: SuppressionsTable,
        pace: Pace,
        clock_ms: Callable[[], int],
        *,
        topic: str,
        configuration_set: str,
    ) -> None:
        self._health = health
        self._suppressions = suppressions
        self._pace = pace
        self._clock_ms = clock_ms
        self._topic = topic
        self._configuration_set = configuration_set

    def take_in(self, body: str) -> None:
        """Take in one message of the feedback queue: SNS's envelope around an event of SES's.

        Only the topic may write to the queue, which is what a signature would prove; its name is checked
        once more, and the configuration set that the event is of.

        Raises:
            NoFeedback: the message is none of ours; a person should see it.
        """
        feedback = self._read(body)
        if feedback is None:
            return
        now_ms = self._clock_ms()
        if feedback.state.suppresses:
            self._suppressions.suppress(feedback.shopper, reason=feedback.state, at_ms=now_ms)
        news = bool(feedback.sku) and self._health.store(feedback)
        log("letter_feedback", state=feedback.state, shopper=feedback.shopper, sku=feedback.sku, news=news)
        if feedback.counts and self._health.count(feedback, at_ms=now_ms):
            self._judge(now_ms)

    def _judge(self, now_ms: int) -> None:
        bounced, complained = self._health.bounced_and_complained(at_ms=now_ms)
        reason = Health(self._pace.letters_of_last_day(now_ms), bounced, complained).reason_to_pause
        if reason:
            self._pace.stop(reason)

    def _read(self, body: str) -> Feedback | None:
        try:
            envelope = json.loads(body)
            if envelope["Type"] != "Notification" or envelope["TopicArn"] != self._topic:
                raise NoFeedback("another topic")
            event = json.loads(envelope["Message"])
        except (ValueError, KeyError, TypeError) as error:
            raise NoFeedback(type(error).__name__) from None
        return feedback_from(event, configuration_set=self._configuration_set)
