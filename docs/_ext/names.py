"""Names of ours in the text of a page lead to their page in the API."""

import re

from docutils import nodes

NAME = re.compile(r"(?:(?:vae|\w*search)\.)?([A-Za-z_][\w.]*)(\(.*\))?", re.DOTALL)
MIXED = ("coming_from/", "write_your_own")  # pages that speak of the methods of others too


def target(code, known):
    """Return the full name that a piece of code begins with, or None.

    ``skvae.load``, ``LatentDensitySampler(vae)``, ``interpolate(…)``, and methods of the
    estimator where they are called: ``transform(X)``.
    """
    found = NAME.fullmatch(code)
    if found is None:
        return None
    name, arguments = found.groups()
    if name.startswith("skvae."):
        return name if name in known else None
    method = f"skvae.VariationalAutoencoder.{name}"
    if arguments and method in known:
        return method
    if not arguments and not name[0].isupper():
        return None
    depth = 2 + name.count(".")  # skvae.module.name, not skvae.module.Class.name
    full = [path for path in known if path.endswith(f".{name}") and path.count(".") <= depth]
    return full[0] if len(full) == 1 else None


def is_ours(literal, docname):
    """Return whether a name means ours here: on mixed pages in tables only, not as their heads."""
    if not docname.startswith(MIXED) or literal.astext().startswith("skvae."):
        return True
    cell = literal
    while cell is not None and not isinstance(cell, nodes.entry):
        cell = cell.parent
    return cell is not None and cell.parent.index(cell) > 0


def link_names(app, doctree, docname):
    """Make references of literals that are names of ours."""
    if app.env.doc2path(docname).suffix != ".md" or app.builder.format != "html":
        return
    known = app.env.domains["py"].objects
    for literal in list(doctree.findall(nodes.literal)):
        name = target(literal.astext(), known)
        linked = isinstance(literal.parent, nodes.reference | nodes.title)
        if name is None or linked or not is_ours(literal, docname):
            continue
        entry = known[name]
        uri = f"{app.builder.get_relative_uri(docname, entry.docname)}#{entry.node_id}"
        reference = nodes.reference("", "", internal=True, refuri=uri, reftitle=name)
        literal.replace_self(reference)
        reference += literal


def setup(app):
    """Listen for pages that are complete."""
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
