"""The API reference, ``docs/api``: written from ``__all__`` when a build begins.

A table of the public modules, one of each module's names, and a page for each name. Nothing of it
is kept by hand, so that nothing can be forgotten in it.
"""

import importlib
import inspect
import pkgutil
import re
from functools import cached_property
from pathlib import Path
from types import FunctionType

import skvae

PROPERTIES = property | cached_property
INDEX = """\
API reference
=============

All that there is to import, module by module. Modules are loaded when they are first asked for:
``import skvae`` is enough for ``skvae.metrics.elbo_scorer``.

{offered}
Inside
------

What these are made of, for those who write parts of their own.

{inside}
.. toctree::
   :hidden:

{toctree}"""
MODULE = """\
{title}
.. automodule:: {module}
   :no-members:

.. currentmodule:: {module}

{table}
.. toctree::
   :hidden:

{toctree}"""


def contents():
    """Return the names that ``__all__`` of each public module has, and none before it.

    First ``skvae`` and the modules that it offers, then those below them.
    """
    found = (module.name for module in pkgutil.iter_modules(skvae.__path__))
    below = {name for name in found if not name.startswith("_")} - skvae._SUBMODULES
    names = [*sorted(skvae._SUBMODULES), *sorted(below)]
    seen, listed = set(), {}
    for path in ["skvae", *(f"skvae.{name}" for name in names)]:
        module = importlib.import_module(path)
        new = [name for name in module.__all__ if id(getattr(module, name)) not in seen]
        seen |= {id(getattr(module, name)) for name in new}
        listed[path] = [name for name in new if not name.startswith("__")]
    return {path: names for path, names in listed.items() if names}


def heading(text, line):
    """Return a title."""
    return f"{text}\n{line * len(text)}\n\n"


def lines(names):
    """Return names as the body of a directive."""
    return "".join(f"   {name}\n" for name in names)


def table(names):
    """Return a table of links and first sentences."""
    return f".. autosummary::\n   :nosignatures:\n\n{lines(names)}"


def index(modules):
    """Return the page of all modules."""
    offered = [m for m in modules if m.removeprefix("skvae.") in {"skvae", *skvae._SUBMODULES}]
    inside = [module for module in modules if module not in offered]
    return INDEX.format(offered=table(offered), inside=table(inside), toctree=lines(modules))


def module_page(module, names):
    """Return the page of a module: what it says of itself, and its names."""
    toctree = lines(f"{module}.{name}" for name in names)
    return MODULE.format(
        title=heading(module, "="), module=module, table=table(names), toctree=toctree
    )


def members(cls, package):
    """Return the kinds of the public members that a package's classes define for cls."""
    found = {}
    for base in reversed(cls.__mro__):
        found |= {name: (base, value) for name, value in vars(base).items()}
    kinds = {
        name: "property" if isinstance(value, PROPERTIES) else "method"
        for name, (base, value) in found.items()
        if base.__module__.partition(".")[0] == package
        and (not name.startswith("_") or name == "__call__")
        and isinstance(value, FunctionType | classmethod | staticmethod | PROPERTIES)
    }
    return dict(sorted(kinds.items(), key=lambda item: (item[1], item[0])))


def page(module, name):
    """Return the page of one class, function or constant."""
    value = getattr(importlib.import_module(module), name)
    text = heading(name, "=") + f".. currentmodule:: {module}\n\n"
    if isinstance(value, FunctionType):
        return f"{text}.. autofunction:: {name}\n"
    if not isinstance(value, type):
        return f"{text}.. autodata:: {name}\n   :no-value:\n"
    text += f".. autoclass:: {name}\n"
    ours, inherited = members(value, "skvae"), members(value, "sklearn")
    if ours:
        text += "\n" + heading("Members", "-") + table(f"~{name}.{member}" for member in ours)
        text += "".join(f"\n.. auto{kind}:: {name}.{member}\n" for member, kind in ours.items())
    if inherited:
        text += "\n" + heading("Members from scikit-learn", "-")
        text += table(f"~{name}.{member}" for member in inherited)
    return text


def pages():
    """Return the text of every page by its file's name."""
    listed = contents()
    texts = {"index.rst": index(listed)}
    for module, names in listed.items():
        texts[f"{module}.rst"] = module_page(module, names)
        texts |= {f"{module}.{name}.rst": page(module, name) for name in names}
    return texts


def write(app):
    """Write the pages that changed, and delete those whose names are gone."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    texts = pages()
    for file in folder.glob("*.rst"):
        if file.name not in texts:
            file.unlink()
    for name, text in texts.items():
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def complete(app, what, name, obj, options, lines):
    """Add to an override that only says what is special what its interface takes and returns."""
    if what != "method" or any(line and set(line) == {"-"} for line in lines):
        return
    path, _, method = name.rpartition(".")
    module, _, cls = path.rpartition(".")
    for base in getattr(importlib.import_module(module), cls).__mro__:
        docstring = inspect.cleandoc(getattr(vars(base).get(method), "__doc__", None) or "")
        _, header, sections = docstring.partition("\nParameters\n")
        if header and base.__module__.startswith("skvae"):
            sections, *_ = sections.partition("\nRaises\n")
            lines += ["", "Parameters", *sections.splitlines(), ""]
            return


def unlink(app, what, name, obj, options, lines):
    """Leave the words of links to pages of scikit-learn's site, which this one has not."""
    if (getattr(obj, "__module__", None) or "").startswith("sklearn"):
        lines[:] = [re.sub(r":ref:`(.+?) <.+?>`", r"\1", line) for line in lines]


def setup(app):
    """Write before sources are looked for; complete docstrings before numpydoc reads them."""
    app.connect("builder-inited", write)
    app.connect("autodoc-process-docstring", complete, priority=400)
    app.connect("autodoc-process-docstring", unlink, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
