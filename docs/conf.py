"""The documentation site: `sphinx-build -W --keep-going -n docs build/docs`.

Pages are Markdown that also reads well on its own. A link to a page, a heading or a file of the
repository that is not there is a warning, and so an error.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docutils import nodes  # noqa: E402

from runtime.logging import quieten_libraries  # noqa: E402
from runtime.version import VERSION  # noqa: E402

quieten_libraries()

project = "wavestream"
author = copyright = "the wavestream authors"
version = release = VERSION

extensions = [
    "myst_nb",  # Markdown, and the notebook, which is executed
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = "wavestream"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
smartquotes = False  # --flag is no dash.

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

# Executed once for each version of the notebook; -D nb_execution_mode=off is for pages alone.
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_output_stderr = "remove"  # TensorFlow greets there.
nb_execution_cache_path = str(ROOT / "build" / "notebooks")

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = False
default_role = "code"  # Docstrings are Markdown in this.
python_use_unqualified_type_names = True
# Other libraries' documentation is elsewhere; errors are named without their module.
nitpick_ignore_regex = [
    ("py:.*", r"(np|numpy|jax|tf|tensorflow|collections|os|typing)\..*"),
    ("py:exc", r"\w+Error"),
    (
        "py:class",
        r"Mixture|codec\.coder\.Coder|codec\.header\.Format|codec\.blocks\.Kind|models\.predictors\.config\.\w+",
    ),
    ("py:class", r"pipeline\.catalogue\.table\.FileTable"),
]


def _put_docstrings(app, docname, source):
    """Makes the directives of autodoc in comments `docstrings` real: elsewhere nobody sees them."""
    source[0] = re.sub(
        r"<!-- docstrings\n(.*?)-->", r"```{eval-rst}\n\1```", source[0], flags=re.DOTALL
    )


def _link_readme(app, docname, source):
    """Leads links to the README to the page that includes it."""
    source[0] = source[0].replace("](../../README.md", "](../index.md")


def _put_dashes(app, doctree, docname):
    """Puts a dash between a parameter and its description, which smartquotes would make."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def _mark_words(app, doctree, docname):
    """Marks code whose words fit into a line of a phone, for `static/site.css`."""
    for code in doctree.findall(nodes.literal):
        if max(map(len, code.astext().split()), default=0) <= 30:
            code["classes"].append("words")


def setup(app):
    """Changes what pages say."""
    app.connect("source-read", _put_docstrings)
    app.connect("source-read", _link_readme)
    app.connect("doctree-resolved", _put_dashes)
    app.connect("doctree-resolved", _mark_words)
