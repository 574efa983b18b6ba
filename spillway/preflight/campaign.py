"""A campaign: how many come, how fast, and what they do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Campaign:
    """`peak_factor` is the rate of the busiest second over the mean rate.

    `signup_rate` is the share of visitors who sign up, `confirm_rate` of those who then confirm,
    `pages_per_visitor` how many pages one visitor opens. `again_rate`: who signs up twice.
    `availability_changes`: how often the product comes into stock or sells out: with the restock, and again.
    """

    visitors: int
    over_s: int
    peak_factor: float = 5.0
    signup_rate: float = 0.05
    confirm_rate: float = 1.0
    again_rate: float = 0.0
    pages_per_visitor: float = 1.0
    availability_changes: int = 2

    @property
    def visitors_per_s_mean(self) -> float:
        """Visitors in a second, were they spread evenly."""
        return self.visitors / self.over_s

    @property
    def signups(self) -> int:
        """Shoppers who sign up."""
        return round(self.visitors * self.signup_rate)

    @property
    def confirmed(self) -> int:
        """Shoppers who confirm, and will wait for their email."""
        return round(self.signups * self.confirm_rate)

    @property
    def page_views(self) -> int:
        """Pages opened by all of them."""
        return round(self.visitors * self.pages_per_visitor)

    @property
    def signup_posts(self) -> int:
        """Signup forms sent, those sent twice included."""
        return round(self.signups * (1 + self.again_rate))


# The flood that made the founding shop fall over, as it would come today: everybody lands on one page.
FOUNDING_STORY = Campaign(visitors=1_000_000, over_s=3600)
