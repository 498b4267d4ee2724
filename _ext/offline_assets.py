"""Serve MathJax, require.js, the widget manager and anywidget from the book itself: no page asks another server.

The folder vendor/ (tools/vendor.py makes it) is added here and not in _config.yml because Jupyter Book 1 puts a
<script> for every .js below html_static_path into every page when the book has a _static folder.
"""

from pathlib import Path

from sphinx.errors import ExtensionError

VENDOR = Path(__file__).resolve().parent.parent / "vendor"
WIDGETS = ("widgets/require.js", "widgets/local.js", "widgets/embed-amd.js")


def use_vendor(app, config) -> None:
    """Point Sphinx and MyST-NB at the copies; a book without them would lean on foreign servers."""
    for name in ("mathjax/tex-mml-chtml.js", *WIDGETS):
        if not (VENDOR / name).exists():
            raise ExtensionError(f"vendor/{name} is missing: run `make vendor` first")
    config.html_static_path.append(str(VENDOR))
    config.mathjax_path = "mathjax/tex-mml-chtml.js"
    config.nb_ipywidgets_js = {name: {} for name in WIDGETS}


def setup(app) -> dict:
    app.connect("config-inited", use_vendor)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
