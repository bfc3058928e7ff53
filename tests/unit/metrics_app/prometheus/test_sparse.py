"""Series that stand in few files are added up as the others are, in the order of the files."""

from hypothesis import given, settings
from hypothesis import strategies as st

from metrics_app.adapters.prometheus.sparse import is_sparse, sparse_sums

SIZE = 6
places = st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=8)


@given(st.lists(places, min_size=1, max_size=5))
@settings(deadline=None)
def test_sums_are_those_of_adding_file_by_file(of_files: list[list[int]]) -> None:
    # A file's values stand in another order than its places, and one that nobody asks for is among them.
    indices = [[len(of_file) - number for number in range(len(of_file))] for of_file in of_files]
    values = [
        (*[0.1 * (file + 1) + number for number in range(len(of_file) + 1)], 0.0)
        for file, of_file in enumerate(of_files)
    ]
    expected = [0.0] * SIZE
    for of_file, at, of_values in zip(of_files, indices, values, strict=True):
        for place, index in zip(of_file, at, strict=True):
            expected[place] += of_values[index]
    assert list(sparse_sums(SIZE, of_files, indices)(values)) == expected


def test_series_in_most_files_is_not_sparse() -> None:
    assert is_sparse(4, [[0], [1], [2], [3]])
    assert not is_sparse(4, [[0, 1], [0, 1, 2], [3], [0]])
