"""Names of files in a report."""

import pytest

from evaluation.names import distinct_names


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ()),
        ({"/x/a.wav": "a.wav", "/y/b.wav": "b.wav"}, ("a.wav", "b.wav")),
        ({"/x/a.wav": "a.wav", "/y/a.wav": "a.wav"}, ("x/a.wav", "y/a.wav")),
        ({"/p/d/a.wav": "a.wav", "/q/d/a.wav": "a.wav"}, ("p/d/a.wav", "q/d/a.wav")),
        ({"/a.wav": "a.wav", "/x/a.wav": "a.wav"}, ("/a.wav", "x/a.wav")),
        ({"gs://b/a.wav": "a.wav", "gs://c/a.wav": "a.wav"}, ("b/a.wav", "c/a.wav")),
        # The longer name is another file's.
        (
            {"/x/a.wav": "a.wav", "/y/a.wav": "a.wav", "/z/x/a.wav": "x/a.wav"},
            ("/x/a.wav", "y/a.wav", "z/x/a.wav"),
        ),
        ({"a.wav": "a.wav", "d/a.wav": "a.wav"}, ("a.wav", "d/a.wav")),
    ],
)
def test_as_much_of_the_folder_as_it_takes(files, expected):
    assert distinct_names(list(files.values()), list(files)) == expected
