"""`python -m benchmarks.shops FOLDER COUNT`: the same shop for every generator, in a process of its own.

A process that once was large would pass for the size of those it starts.
"""

import sys
from pathlib import Path

from benchmarks.catalogue import items, write_shop
from benchmarks.eleventy_shop import write_eleventy_shop
from benchmarks.hugo_shop import write_hugo_shop


def main() -> None:
    """Write them."""
    folder, things = Path(sys.argv[1]), items(int(sys.argv[2]))
    write_shop(folder / "spillway", things)
    write_hugo_shop(folder / "hugo", things)
    write_eleventy_shop(folder / "eleventy", things)


if __name__ == "__main__":
    main()
