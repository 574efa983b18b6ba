"""`python -m benchmarks [NAME ...]`: run the benchmarks of those names, or all of them."""

import sys
from importlib import import_module

# Each is a module of this package with a `main`.
BENCHMARKS = ["build", "publish", "sign_up", "steps", "fan_out", "fan_out_simulation"]


def main() -> None:
    """Run what was asked for."""
    for name in sys.argv[1:] or BENCHMARKS:
        if name not in BENCHMARKS:
            sys.exit(f"{name}: no such benchmark; there are {', '.join(BENCHMARKS)}")
        import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
