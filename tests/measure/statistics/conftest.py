from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Matrices this small are multiplied faster by one thread, above all where others want the second core."""
    with threadpool_limits(1):
        yield
