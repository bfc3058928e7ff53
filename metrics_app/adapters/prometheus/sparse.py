"""Sums of series that are mostly in few files, without looking for each of them in every file."""

from array import array
from collections.abc import Callable, Sequence
from itertools import repeat
from operator import add, itemgetter

from metrics_app.adapters.prometheus.layout import Values

Merge = Callable[[Sequence[Values]], Sequence[float]]
"""The values of the samples of a metric, from those of the files that have it."""

NOT_HERE = -1
"""The index at which the values of a file have that of a series which it has not."""
SPARSE = 4
AT_ONCE = 10_000


def is_sparse(size: int, of_files: Sequence[Sequence[int]]) -> bool:
    """Whether a file has only a small share of the series."""
    return sum(map(len, of_files)) * SPARSE <= size * len(of_files)


def sparse_sums(size: int, places: Sequence[Sequence[int]], indices: Sequence[Sequence[int]]) -> Merge:
    """The sums for series that are mostly in few files; `places` and `indices` are those of each file.

    The entries of all files are concatenated. Then the first entry of each place is taken, then the second of
    those that have one, and so on, which is also the order of the files.
    """
    # With one more index, as above, which points behind each file's entries.
    getters = [itemgetter(*of_file, NOT_HERE) for of_file in indices]
    steps: list[tuple[list[int], list[int]]] = []
    met = [0] * size
    position = 0
    for of_file in places:
        for place in of_file:
            if met[place] == len(steps):
                steps.append(([], []))
            of_step, positions = steps[met[place]]
            of_step.append(place)
            positions.append(position)
            met[place] += 1
            position += 1
        position += 1
    first = [NOT_HERE] * size
    for place, position in zip(*steps[0], strict=True):
        first[place] = position
    # In parts, because the tuple of a million numbers would be larger than the text of them.
    parts = [first[begin : begin + AT_ONCE] for begin in range(0, size, AT_ONCE)]
    get_first = [(len(part), itemgetter(*part, NOT_HERE)) for part in parts]
    others = [(of_step, itemgetter(*positions, NOT_HERE)) for of_step, positions in steps[1:]]

    def merge(values: Sequence[Values]) -> Sequence[float]:
        entries = array("d")
        for get_entries, of_file in zip(getters, values, strict=True):
            entries.extend(get_entries(of_file))
        sums = array("d")
        for length, get in get_first:
            sums.extend(map(add, repeat(0.0, length), get(entries)))
        for of_step, get in others:
            for place, value in zip(of_step, get(entries), strict=False):
                sums[place] += value
        return sums

    return merge
