"""The growth of processes in memory and open files: each compared with itself, when warm and at the end."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.processes import Group, Held

# The first part of a run fills caches and starts workers.
WARM_FROM, WARM_UNTIL = 0.3, 0.5
LATE_FROM = 0.8
# Allocators and connections that are kept alive explain less growth than this.
MEMORY_GROWTH_MAX = 0.05
FILES_GROWTH_MAX = 5
# The emulator keeps every row, object and email in memory: it is shown, not judged.
JUDGED = (Group.FRONT, Group.FUNCTIONS)
SHORTEST_S = 300


@dataclass(frozen=True, slots=True)
class Growth:
    """The memory and files of a group when warm and at the end, over processes that lived through both.

    The figures are those of the process that grew most, in the middle of each stretch.
    """

    group: Group
    processes: int
    memory_bytes_warm: float
    memory_bytes_late: float
    files_warm: float
    files_late: float

    @property
    def flat(self) -> bool:
        """Return whether neither memory nor files grew."""
        return (
            self.memory_bytes_late <= self.memory_bytes_warm * (1 + MEMORY_GROWTH_MAX)
            and self.files_late <= self.files_warm + FILES_GROWTH_MAX
        )


def growths(samples: Sequence[Held]) -> list[Growth]:
    """Return the growth of each group; none for a run that is too short to judge."""
    end_s = max((sample.at_s for sample in samples), default=0.0)
    if end_s < SHORTEST_S:
        return []
    made = [_growth(group, [sample for sample in samples if sample.group is group], end_s) for group in Group]
    return [growth for growth in made if growth is not None]


def all_flat(found: Iterable[Growth]) -> bool:
    """Return whether none of the judged groups grew."""
    return all(growth.flat for growth in found if growth.group in JUDGED)


def over_time(samples: Sequence[Held], group: Group, what: Callable[[Held], int]) -> dict[float, int]:
    """Return the sum over a group's processes, by the time of the sample."""
    sums: dict[float, int] = {}
    for sample in samples:
        if sample.group is group:
            sums[sample.at_s] = sums.get(sample.at_s, 0) + what(sample)
    return sums


def _growth(group: Group, samples: Sequence[Held], end_s: float) -> Growth | None:
    warm = [sample for sample in samples if end_s * WARM_FROM <= sample.at_s < end_s * WARM_UNTIL]
    late = [sample for sample in samples if sample.at_s >= end_s * LATE_FROM]
    lived = {sample.pid for sample in warm} & {sample.pid for sample in late}
    if not lived:
        return None

    def middle(looks: Sequence[Held], pid: int, what: Callable[[Held], int]) -> float:
        return median(what(sample) for sample in looks if sample.pid == pid)

    def most_grown(what: Callable[[Held], int]) -> tuple[float, float]:
        pairs = [(middle(warm, pid, what), middle(late, pid, what)) for pid in lived]
        return max(pairs, key=lambda pair: pair[1] - pair[0])

    memory, files = most_grown(lambda sample: sample.memory_bytes), most_grown(lambda sample: sample.files)
    return Growth(group, len(lived), *memory, *files)
