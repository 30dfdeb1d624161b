"""Does steps in several threads, and gives their results in the order of the steps."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_order(
    steps: Iterable[T | Callable[[], T]], threads: int, name: str, heartbeat: Callable[[], None]
) -> Iterator[T]:
    """The result of each step, in order. A step that is a function is called in a thread, others are results.

    A few steps are begun ahead of the result that comes next. `heartbeat` is called before each result.

    Raises:
        Exception: any error of a step. The steps that wait are dropped.
    """
    waiting: deque[T | Future[T]] = deque()

    def following() -> T:
        first = waiting.popleft()
        heartbeat()
        return first.result() if isinstance(first, Future) else first

    with ThreadPoolExecutor(threads, name) as pool:
        try:
            for step in steps:
                waiting.append(pool.submit(step) if callable(step) else step)
                while len(waiting) > 2 * threads:
                    yield following()
            while waiting:
                yield following()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
