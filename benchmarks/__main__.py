"""`python -m benchmarks [NAME ...] [--option ...]`: run the benchmarks of those names, or all of them.

Options after the names go to each of them.
"""

import subprocess
import sys
from importlib import import_module
from itertools import takewhile

# Each is a module of this package with a `main`.
BENCHMARKS = [
    "build",
    "publish",
    "lighthouse",
    "sign_up",
    "steps",
    "fan_out",
    "import_",
    "traffic",
]


def main() -> None:
    """Run what was asked for, each in a process of its own: what one has warm is not the next one's."""
    asked = list(takewhile(lambda word: not word.startswith("--"), sys.argv[1:]))
    options = sys.argv[1 + len(asked) :]
    names = asked or BENCHMARKS
    for name in names:
        if name not in BENCHMARKS:
            sys.exit(f"{name}: no such benchmark; there are {', '.join(BENCHMARKS)}")
    if len(names) == 1:
        sys.argv[1:] = options
        import_module(f"benchmarks.{names[0]}").main()
        return
    for name in names:
        subprocess.run([sys.executable, "-m", "benchmarks", name, *options], check=True)


if __name__ == "__main__":
    main()
