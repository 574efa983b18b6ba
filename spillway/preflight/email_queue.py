"""Emails that wait for SES: so many a second, so many in 24 hours, first come first served."""

from collections import deque
from math import floor

DAY_S = 24 * 3600


class EmailQueue:
    """Counts of waiting emails by the second they joined. Steps are seconds, or longer as it drains."""

    def __init__(self, *, per_s: float, per_day: float) -> None:
        self._per_s = per_s
        self._per_day = per_day
        self._credit = 0.0
        self._sent: deque[tuple[int, int]] = deque()
        self._sent_in_window = 0
        self._waiting: deque[tuple[int, int]] = deque()
        self.depth = 0
        self.sent = 0
        self.wait_s_max = 0
        self.wait_s_sum = 0.0

    def put(self, emails: int, *, at_s: int) -> None:
        """Emails join the queue."""
        if emails:
            self._waiting.append((at_s, emails))
            self.depth += emails

    def send(self, *, at_s: int, for_s: int = 1) -> int:
        """Send what `for_s` seconds allow; gives how many emails that were."""
        while self._sent and at_s - self._sent[0][0] >= DAY_S:
            self._sent_in_window -= self._sent.popleft()[1]
        self._credit = min(self._credit + self._per_s * for_s, self._per_s * for_s + 1)
        room = min(floor(self._credit), int(self._per_day) - self._sent_in_window, self.depth)
        self._credit -= room
        left = room
        while left:
            joined_s, emails = self._waiting.popleft()
            taken = min(emails, left)
            left -= taken
            self.wait_s_max = max(self.wait_s_max, at_s - joined_s)
            self.wait_s_sum += (at_s - joined_s) * taken
            if taken < emails:
                self._waiting.appendleft((joined_s, emails - taken))
        if room:
            self._sent.append((at_s, room))
            self._sent_in_window += room
            self.depth -= room
            self.sent += room
        return room
