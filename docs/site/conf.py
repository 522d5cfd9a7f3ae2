"""How Sphinx builds the site: `nox -s site`."""

project = "Forked connections"
author = "the forked-connections developers"
html_title = project
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["attrs_block", "attrs_inline"]
myst_heading_anchors = 4
html_theme = "pydata_sphinx_theme"
html_extra_path = ["extra"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 5,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
exclude_patterns = ["extra", "static"]
suppress_warnings = ["toc.no_title"]
