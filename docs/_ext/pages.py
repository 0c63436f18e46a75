"""Links to files of the repository, as a code host follows them, lead to the site's pages."""

import re

PAGES = {
    r"examples/([\w/]+)\.py": r"/auto_examples/\1.rst",
    r"examples/?": "/auto_examples/index.rst",
    r"benchmarks/README\.md": "/benchmarks.md",
    r"CONTRIBUTING\.md": "/contributing.md",
    r"CHANGELOG\.md": "/changelog.md",
}


def lead_to_pages(app, docname, source):
    """Replace the targets of links out of ``docs`` in a Markdown page."""
    if app.env.doc2path(docname).suffix == ".md":
        for file, page in PAGES.items():
            source[0] = re.sub(rf"\]\((?:\.\./)+{file}\)", rf"]({page})", source[0])


def setup(app):
    """Listen for pages that are read."""
    app.connect("source-read", lead_to_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
