"""Few cases in place of all combinations."""

from itertools import combinations, product


def covering(*lists):
    """Return combinations of one value of each list in which every two values meet.

    Each is the one of all combinations that adds most pairs, the first where several do.
    """
    cells = list(product(*map(range, map(len, lists))))
    pairs = {cell: set(combinations(enumerate(cell), 2)) for cell in cells}
    missing = set().union(*pairs.values())
    chosen = []
    while missing:
        chosen.append(max(cells, key=lambda cell: len(pairs[cell] & missing)))
        missing -= pairs[chosen[-1]]
    return [tuple(values[i] for values, i in zip(lists, cell, strict=True)) for cell in chosen]
