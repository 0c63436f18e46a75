"""The site: Markdown pages that also read on a code host, a gallery that runs, and the API.

    sphinx-build -W docs docs/_build/html

needs no network. Set ``SKVAE_DOCS_INTERSPHINX=1`` to link numpy's, scikit-learn's and torch's
names to their documentation, which has to be fetched. ``-D plot_gallery=0`` leaves the examples
unrun, for a quick look at the pages.
"""

import os
import sys
import tomllib
from pathlib import Path

# Before torch is imported: the threads of examples that run side by side would wait for each other
# in every operation.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import skvae

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "skvae"
author = "The skvae developers"
project_copyright = author
release = version = skvae.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "api",
    "dark",
    "demo",
    "mathml",
    "names",
    "pages",
    "thumbnails",
]
exclude_patterns = ["_build"]
smartquotes = False  # a default is "auto", not “auto”
toc_object_entries_show_parents = "hide"

# Markdown

myst_enable_extensions = ["attrs_block", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
highlight_language = "none"  # an indented block is a formula or a picture of letters

# The formulas are MathML, which browsers draw themselves: nothing is fetched, no script runs.
html_math_renderer = "mathml"
myst_update_mathjax = False

# The API

autosummary_generate = False  # the extension api writes a page for every public name
autodoc_typehints = "none"  # numpydoc's sections say it in words
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

if os.environ.get("SKVAE_DOCS_INTERSPHINX") == "1":
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "numpy": ("https://numpy.org/doc/stable", None),
        "python": ("https://docs.python.org/3", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "skorch": ("https://skorch.readthedocs.io/en/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }

# The gallery

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "image_scrapers": ("figures.scrape",),
    "image_srcset": ["2x"],
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_",),  # what a display is called is of no interest
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "within_subsection_order": "gallery.order",
    "parallel": os.cpu_count() or 1,  # examples side by side
}

# The theme

html_theme = "pydata_sphinx_theme"
html_title = "skvae"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
# Pages without pages below them need no menu of those.
html_sidebars = {
    page: [] for page in ("index", "install", "results", "benchmarks", "contributing", "changelog")
}
templates_path = ["_templates"]

# Links to the repository and to its issues stand in the header as soon as pyproject.toml has them.
with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
    urls = tomllib.load(file)["project"].get("urls", {})
icons = {"Repository": "fa-brands fa-git-alt", "Issues": "fa-solid fa-circle-dot"}

html_theme_options = {
    "logo": {"text": "skvae"},
    "header_links_before_dropdown": 4,  # one line on a screen of 1,280 pixels, with both links
    "navbar_end": ["version", "navbar-icon-links", "theme-switcher"],
    "icon_links": [
        {"name": name, "url": urls[name], "icon": icon}
        for name, icon in icons.items()
        if name in urls
    ],
    "show_nav_level": 1,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
copybutton_exclude = ".linenos, .gp, .go"
