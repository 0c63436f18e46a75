"""Formulas as MathML, written by docutils from TeX; every current browser draws it.

Sphinx's own renderers need MathJax from a server, or a TeX system for pictures.
"""

import re

from docutils.nodes import SkipNode
from docutils.utils.math import MathError, latex2mathml
from sphinx.errors import SphinxError

OPERATOR = re.compile(r"<mo>&ApplyFunction;</mo>(?=\s*<m(?!o))")


def mathml(tex, as_block):
    """Return TeX as MathML, with the thin space that belongs in log x and browsers leave out."""
    tree = latex2mathml.tex2mathml(tex, as_block)
    formula = OPERATOR.sub('<mspace width="0.1667em"></mspace>', tree)
    if not as_block:
        return formula
    # In a block of ours: in MathML's own, a formula wider than the page begins out of reach.
    formula = formula.replace('display="block"', 'displaystyle="true"')
    return f'<div class="formula">{formula}</div>'


def _visit(as_block):
    def visit(self, node):
        try:
            self.body.append(mathml(node.astext(), as_block))
        except MathError as error:
            where = f"{node.source}:{node.line or node.parent.line}"
            raise SphinxError(f"{where}: {error} docutils has no MathML for it.") from error
        raise SkipNode

    return visit


def setup(app):
    """Register the renderer ``html_math_renderer = "mathml"``."""
    app.add_html_math_renderer("mathml", (_visit(False), None), (_visit(True), None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
