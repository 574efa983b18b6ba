"""`python -m benchmarks [NAME ...]`: run the benchmarks of those names, or all of them."""

import subprocess
import sys
from importlib import import_module

# Each is a module of this package with a `main`.
BENCHMARKS = ["build", "publish", "sign_up", "steps", "fan_out", "fan_out_simulation"]


def main() -> None:
    """Run what was asked for, each in a process of its own: what one has warm is not the next one's."""
    names = sys.argv[1:] or BENCHMARKS
    for name in names:
        if name not in BENCHMARKS:
            sys.exit(f"{name}: no such benchmark; there are {', '.join(BENCHMARKS)}")
    if len(names) == 1:
        import_module(f"benchmarks.{names[0]}").main()
        return
    for name in names:
        subprocess.run([sys.executable, "-m", "benchmarks", name], check=True)


if __name__ == "__main__":
    main()
