"""The order of the examples: those to begin with first, the others by name, the longest last."""

FIRST = ["plot_quickstart_table.py", "plot_digits.py", "plot_pipeline_and_search.py"]
LAST = ["plot_mnist.py", "mnist_in_full.py"]


def order(name):
    """Return the key to sort file names by."""
    for place, names in ((0, FIRST), (2, LAST)):
        if name in names:
            return place, names.index(name), name
    return 1, 0, name
