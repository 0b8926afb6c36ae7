"""Sphinx configuration."""

project = "RouteIQ"
author = "The RouteIQ maintainers"
copyright = author
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
html_theme = "furo"
html_title = "RouteIQ"
nitpicky = True
