"""Resources that end with the last test that asks for their fixture; a pytest plugin.

A fixture of the session would live to its end, and two Ray clusters at once are too much for a small machine.
So the tests that share one run together, one kind after the other, and each gives its cluster back.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

# Fixtures that hold a cluster, in the order in which their tests run; those of all other tests come first.
_CLUSTERS = ("layout", "service")

_stacks = pytest.StashKey[dict[str, ExitStack]]()
_last = pytest.StashKey[dict[str, str]]()


def lasting(request: pytest.FixtureRequest) -> ExitStack:
    """Where a fixture of the session puts what is to be closed after the last test that asks for it."""
    name = request.fixturename
    assert name is not None
    stack = ExitStack()
    request.config.stash.setdefault(_stacks, {})[name] = stack
    request.addfinalizer(stack.close)
    return stack


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests of each cluster together."""
    items.sort(
        key=lambda item: max((n + 1 for n, c in enumerate(_CLUSTERS) if c in _fixtures(item)), default=0)
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which test is the last to ask for each fixture."""
    found = session.config.stash.setdefault(_last, {})
    for item in session.items:
        found.update(dict.fromkeys(_fixtures(item), item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[Any]:
    """Close what nobody will ask for any more, after the test's own fixtures."""
    try:
        return (yield)
    finally:
        last = item.config.stash[_last]
        for name, stack in item.config.stash.get(_stacks, {}).items():
            if last.get(name) == item.nodeid:
                stack.close()


def _fixtures(item: pytest.Item) -> list[str]:
    return list(getattr(item, "fixturenames", ()))
