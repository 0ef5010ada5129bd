"""Sphinx's settings of the site (site.py). VERSION and the like come from the environment, so that no file is written."""
import os

project = "Segue"
author = copyright = "the Segue authors"
version = release = os.environ["SEGUE_SITE_VERSION"]
extensions = ["myst_parser", "sphinx.ext.graphviz"]
source_suffix = {".md": "markdown"}
master_doc = "index"
html_theme = "furo"
html_title = "Segue " + version
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
graphviz_output_format = "svg"
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
nitpicky = True
# Text that only looks like code of a language.
suppress_warnings = ["misc.highlighting_failure"]
