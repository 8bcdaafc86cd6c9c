"""Configuration of the documentation: `make docs`, or `sphinx-build -W docs docs/_build/html`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import speclens

project = "speclens"
author = "The speclens developers"
copyright = f"2026, {author}"
version = release = speclens.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "mathml",
]
exclude_patterns = ["_build", "paper_draft", "tables"]
templates_path = ["_templates"]
default_role = "code"

# The tutorial is run: nothing of what it shows is kept in the repository.
nb_execution_mode = "force"
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True

html_theme = "furo"
html_title = f"speclens {release}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["equations.css"]

myst_enable_extensions = ["dollarmath", "substitution"]
myst_substitutions = {"version": release}
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
