import pytest


@pytest.fixture(params=["memory://", "sqlite"])
def place(request, tmp_path):
    """The URL of an empty cache."""
    return request.param if request.param == "memory://" else f"sqlite:///{tmp_path}/cache.db"
