"""A CloudFront in memory that refuses what AWS refuses, and knows which paths it was made to forget."""

from typing import TYPE_CHECKING, Any

from tests.support.aws_models import check_request
from tests.support.memory_s3 import refused

if TYPE_CHECKING:
    from collections.abc import Callable


class MemoryCloudFront:
    """Answers CreateInvalidation. `paths` has the paths of each invalidation, oldest first."""

    def __init__(self) -> None:
        self.paths: list[list[str]] = []
        self.references: dict[str, list[str]] = {}
        self.calls = 0
        self.paths_left = 3_000
        self.wildcards_left = 15
        self.forget: Callable[[list[str]], None] = lambda paths: None

    @property
    def all_paths(self) -> list[str]:
        """The paths of all invalidations."""
        return [path for paths in self.paths for path in paths]

    def create_invalidation(self, **asked: Any) -> dict[str, Any]:
        """Forget the paths.

        https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_InvalidationBatch.html: a known
        reference with the same paths is the same invalidation, with others it is an error.
        """
        check_request("cloudfront", "CreateInvalidation", asked)
        self.calls += 1
        batch = asked["InvalidationBatch"]
        reference, paths = batch["CallerReference"], batch["Paths"]["Items"]
        assert batch["Paths"]["Quantity"] == len(paths) > 0
        if any(character in path for path in paths for character in '~ <>"#%{}|^[]`'):
            raise refused("InvalidArgument", "CreateInvalidation")
        if reference in self.references:
            if self.references[reference] != paths:
                raise refused("InvalidationBatchAlreadyExists", "CreateInvalidation")
            return {}
        wildcards = sum(path.endswith("*") for path in paths)
        if wildcards > self.wildcards_left or len(paths) - wildcards > self.paths_left:
            raise refused("TooManyInvalidationsInProgress", "CreateInvalidation")
        self.wildcards_left -= wildcards
        self.paths_left -= len(paths) - wildcards
        self.references[reference] = paths
        self.paths.append(paths)
        self.forget(paths)
        return {}
