"""What tests of warnings have in common."""

import contextlib
import warnings


@contextlib.contextmanager
def no_warning():
    """Fail if there was a warning."""
    # Recorded, not raised: under -W error ours are logged instead, and a test would not see them.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert [str(w.message) for w in caught] == []
