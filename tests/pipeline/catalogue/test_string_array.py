"""A StringArray behaves as the strings that it is made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalogue.column_file import downcast
from pipeline.catalogue.string_array import StringArray, join

pytestmark = pytest.mark.both_stacks

ANY_BYTES = st.binary(max_size=9).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(st.lists(ANY_BYTES), st.data())
def test_it_is_a_sequence_of_strings(strings, data):
    array = StringArray.from_strings(strings)
    assert array == strings
    assert list(array) == strings
    assert [array[i] for i in range(len(array))] == strings
    assert array[1:] == strings[1:]
    assert list(array.lengths()) == [len(text.encode(errors="surrogateescape")) for text in strings]
    if strings:
        rows = data.draw(st.lists(st.integers(0, len(strings) - 1)))
        assert array[np.array(rows, np.int64)] == [strings[row] for row in rows]
        assert array[-1] == strings[-1]
        assert array.index(strings[-1]) == strings.index(strings[-1])


def test_it_differs_from_others():
    array = StringArray.from_strings(["a", "bc"])
    for other in (["ab", "c"], ["a"], [], ["a", "bc", ""], 5):
        assert array != other


def test_a_part_shares_the_bytes():
    array = StringArray.from_strings(["a", "bc", "d"])
    assert np.shares_memory(array[np.array([2, 0])].blob, array.blob)


def test_empty_strings_take_a_byte_each():
    blob, bounds = join([""] * 1000)
    assert (blob.nbytes, bounds.nbytes) == (0, 1001)


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ([0, 255], np.uint8),
        ([0, 256], np.uint16),
        ([-1, 255], np.int16),
        ([-1, 127], np.int8),
        ([2**32 - 1], np.uint32),
        ([-1, 2**60 + 1], np.int64),
        ([], np.uint8),
    ],
)
def test_the_smallest_type(column, dtype):
    small = downcast(np.array(column, np.int64))
    assert small.dtype == dtype
    assert small.tolist() == column
