"""The tests of trtnemo."""

import pytest

# what they assert, they do, under `python -O` too
pytest.register_assert_rewrite("tests.support")
