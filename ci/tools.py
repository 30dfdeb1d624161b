"""Gets the programs that tests need, before the tests: a first build takes minutes, which no test should wait for."""

import sys
from collections.abc import Callable

from ci.parts.cache import PartMissing
from ci.parts.chart_tools import kubeconform, prometheus, promtool
from ci.parts.go import age, promlint, versitygw
from ci.parts.helm import helm

OF_TESTS: list[Callable[[], object]] = [
    versitygw,
    age,
    promlint,
    lambda: helm(3),
    lambda: helm(4),
    kubeconform,
    promtool,
]
OF_ALERTS: list[Callable[[], object]] = [versitygw, lambda: helm(3), prometheus]


def main(tools: list[Callable[[], object]]) -> None:
    """Get each. Those that cannot be had are printed, and only the tests that need them fail."""
    for get in tools:
        try:
            get()
        except (PartMissing, OSError) as error:
            print(f"{error}. The tests that need it will fail", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(OF_ALERTS if sys.argv[1:] == ["alerts"] else OF_TESTS)
