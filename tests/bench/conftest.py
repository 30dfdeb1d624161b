"""How large a tree the benchmarks take, and where what they found is printed."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of benchmarks."""
    parser.addoption("--large", action="store_true", help="a million znodes, besides the 200,000")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each benchmark takes 200,000 znodes, and a million on demand."""
    if "znodes" in metafunc.fixturenames:
        large = [1_000_000] if metafunc.config.getoption("--large") else []
        metafunc.parametrize("znodes", [200_000, *large])
