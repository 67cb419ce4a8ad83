"""Sphinx extension: the built book asks no other host for anything, and reads well for everybody.

It serves the vendored scripts of ``web/static``, wraps the front-end of the *installed* anywidget
(so that it always matches the Python side), puts a still picture beside each live figure for pages
without scripts, mends what the theme leaves wrong, and cuts the icon fonts to the icons in use.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import anywidget
from fontTools import subset  # type: ignore[import-untyped]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

WEB = Path(__file__).parent
STILLS = WEB / "stills"
STATE_TYPE = "application/vnd.jupyter.widget-state+json"
VIEW_SCRIPT = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-view\+json">(?P<view>.*?)</script>', re.DOTALL
)
Widgets = dict[str, dict[str, Any]]

logger = logging.getLogger(__name__)

# Where the theme's pages fail axe-core: (what stands there, what shall stand there). One of the two
# must be found on every page, so that a new theme cannot undo a mend unseen.
MENDS = (
    # The site's name and the search button stand in no landmark.
    (
        '<div id="pst-primary-sidebar" class="bd-sidebar-primary bd-sidebar">',
        '<div id="pst-primary-sidebar" class="bd-sidebar-primary bd-sidebar" role="complementary"'
        ' aria-label="The book">',
    ),
    # A label that differs from the visible text cannot be spoken to: the text is name enough.
    (
        'search-button-field search-button__button pst-js-only" title="Search" aria-label="Search"',
        'search-button-field search-button__button pst-js-only"',
    ),
    # The switch's icons bring titles of their own ("Light"), which its label leaves out.
    (
        'theme-switch-button pst-js-only" aria-label="Color mode" data-bs-title="Color mode"',
        'theme-switch-button pst-js-only" title="Light, dark or as the system has it"',
    ),
    ('data-mode="light" title="Light"', 'data-mode="light" aria-hidden="true"'),
    ('data-mode="dark"  title="Dark"', 'data-mode="dark" aria-hidden="true"'),
    ('data-mode="auto"  title="System Settings"', 'data-mode="auto" aria-hidden="true"'),
)
# What to replace, and by what, on any page that has it.
TIDY = (
    # 1.5 MB of script for icons which the web font draws as well.
    (re.compile(r'\s*<script defer src="[^"]*/fontawesome\.js[^"]*"></script>'), ""),
    # The text of this summary differs with its state, and says better what it does.
    (re.compile(r'(?<=<summary) aria-label="Toggle hidden content"'), ""),
    # A list of references has items; the role that docutils gives them is out of use.
    (
        re.compile(r'(?<=<div class="citation" )(id="[^"]*") role="doc-biblioentry"'),
        r'\1 role="listitem"',
    ),
    # The settings of thebe, whose script is left out.
    (re.compile(r'\s*<script type="text/x-thebe-config">.*?</script>', re.DOTALL), ""),
    (re.compile(r"\s*<script>kernelName = '[^']*'</script>"), ""),
    # A line may break on both sides of typeset math, and then begin with the full stop behind it.
    (
        re.compile(
            r'(?<!<span class="together">)(?<![^\s>])'
            r'(?P<word>[^\s<>]*<span class="math notranslate nohighlight">[^<]*</span>[^\s<]*)'
        ),
        r'<span class="together">\g<word></span>',
    ),
)
# The search's scripts serve the search page; elsewhere they would only cost their weight.
SEARCH = re.compile(
    r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>'
)


def note_sources(app: Sphinx, config: Config) -> None:
    """Let a change below ``web/`` rebuild the pages, as a change of a setting does."""
    digest = hashlib.sha256()
    served = (path for kind in ("css", "js", "py", "svg") for path in WEB.rglob(f"*.{kind}"))
    for path in sorted(path for path in served if "node_modules" not in path.parts):
        digest.update(path.read_bytes())
    config["offline_assets_digest"] = digest.hexdigest()


def add_static_files(app: Sphinx) -> None:
    """Serve the vendored files, the book's style and the installed anywidget's front-end."""
    generated = Path(app.doctreedir) / "static"
    (generated / "widgets").mkdir(parents=True, exist_ok=True)
    (generated / "widgets" / "anywidget.js").write_text(anywidget_script(), encoding="utf8")
    app.config.html_static_path += [str(WEB / "static"), str(WEB / "book.css"), str(generated)]
    app.add_css_file("book.css", priority=900)
    app.add_js_file("book.js", defer="defer")


def anywidget_script() -> str:
    """Wrap the AMD module in anywidget's wheel: its ``define`` hands over to the bundle.

    The bundle then draws the page's figures: the script has to be deferred, and to come after it.
    """
    source = Path(anywidget.__file__).parent / "nbextension" / "index.js"
    define = "const define = (_, factory) => bookWidgets.provide('anywidget', factory);"
    return f"(() => {{\n{define}\n{source.read_text(encoding='utf8')}\n}})();\n"


def prepare_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Leave out thebe; on a page with widgets, add their scripts, style and stills."""
    for kind in ("script_files", "css_files"):
        context[kind][:] = [asset for asset in context[kind] if "thebe" not in described(asset)]
    widgets = stored_widgets(context["script_files"])
    if widgets:
        app.add_css_file("widgets/widgets.css", priority=800)
        # Before all other scripts, and in this order: the live figures come first.
        for priority, name in enumerate(("widgets.js", "anywidget.js"), start=100):
            app.add_js_file(f"widgets/{name}", priority=priority, defer="defer")
        context["body"] = VIEW_SCRIPT.sub(
            lambda match: still(pagename, widgets, match) + match[0], context["body"]
        )


def described(asset: Any) -> str:
    """Return what a script or style says of itself: its address, or its text."""
    return f"{getattr(asset, 'filename', asset)} {getattr(asset, 'attributes', {}).get('body', '')}"


def stored_widgets(scripts: Iterable[Any]) -> Widgets:
    """Return the widget models that the page stores, by id."""
    widgets: Widgets = {}
    for script in scripts:
        attributes = getattr(script, "attributes", {})
        if attributes.get("type") == STATE_TYPE:
            widgets |= json.loads(attributes["body"])["state"]
    return widgets


def still(pagename: str, widgets: Widgets, view: re.Match[str]) -> str:
    """Return the picture that a reader without scripts sees in place of this widget."""
    model = json.loads(view["view"])["model_id"]
    names = [name for name in figure_names(widgets, model) if name]
    if not names:
        logger.warning("%s: a widget has no `_figure` that names its still", pagename)
        return ""
    here = STILLS / f"{names[0]}@{Path(pagename).name}.svg"  # where the page starts it otherwise
    path = here if here.is_file() else STILLS / f"{names[0]}.svg"
    if not path.is_file():
        logger.warning(
            "%s: no still of figure %r: expected web/stills/%s", pagename, names[0], path.name
        )
        return ""
    return f'<noscript><div class="still">{path.read_text(encoding="utf8")}</div></noscript>'


def figure_names(widgets: Widgets, model: str) -> Iterator[str]:
    """Yield the ``_figure`` of this model and of those inside it, outermost first."""
    state = widgets[model]["state"]
    yield state.get("_figure", "")
    for child in state.get("children", ()):
        yield from figure_names(widgets, child.removeprefix("IPY_MODEL_"))


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Mend the written pages, then trim the icons to those that the pages show."""
    if exception or app.builder.format != "html":
        return
    pages = sorted(Path(app.outdir).rglob("*.html"))
    for page in pages:
        mend(page)
    trim_icons(Path(app.outdir) / "_static", pages)


def mend(page: Path) -> None:
    """Apply the mends to one page; a page that is mended already stays as it is."""
    text = before = page.read_text(encoding="utf8")
    if 'id="main-content"' not in text:  # a redirect, or a fragment: no page of the theme
        return
    for old, new in MENDS:
        if old not in text and new not in text:
            logger.warning("%s: the theme no longer writes %r; see MENDS", page.name, old)
        text = text.replace(old, new)
    for pattern, replacement in TIDY:
        text = pattern.sub(replacement, text)
    if page.stem != "search":
        text = SEARCH.sub("", text)
    if text != before:
        page.write_text(text, encoding="utf8")


ICON_RULE = re.compile(r'(?P<names>(?:\.fa-[\w-]+:before,?)+)\{content:"\\(?P<code>[0-9a-f]+)"\}')
FONT_SOURCE = re.compile(
    r'url\((?P<path>[^)]*/webfonts/[\w-]+)\.woff2\) format\("woff2"\)'
    r',url\((?P=path)\.ttf\) format\("truetype"\)'
)


def trim_icons(static: Path, pages: Iterable[Path]) -> None:
    """Keep the glyphs and the rules of the icons in use: 300 kB of fonts become a few."""
    sheet = static / "styles" / "pydata-sphinx-theme.css"
    css = sheet.read_text(encoding="utf8")
    fonts = sorted(static.rglob("webfonts/*.ttf"))
    if not fonts and not FONT_SOURCE.search(css):  # by an earlier build
        return
    scripts = [*static.rglob("*theme*.js"), *static.glob("*.js")]
    used = {
        name
        for path in (*pages, *scripts)
        for name in re.findall(r"\bfa-[\w-]+", path.read_text(encoding="utf8"))
    }
    css = ICON_RULE.sub(lambda rule: rule[0] if used & names_in(rule) else "", css)
    css, changed = FONT_SOURCE.subn(r'url(\g<path>.woff) format("woff")', css)
    if not fonts or changed != len(fonts):
        logger.warning("the theme's icon fonts are not where trim_icons looks for them")
    sheet.write_text(css, encoding="utf8")
    text = all_css(static)
    codes = {int(code, 16) for code in re.findall(r"\\([0-9a-f]{2,5})\b", text)}
    codes |= {ord(character) for character in text}  # some stand there as they are, not escaped
    for font in fonts:
        trim_font(font, codes)


def names_in(rule: re.Match[str]) -> set[str]:
    """Return the icons' names that a rule of the style sheet is for."""
    return set(re.findall(r"fa-[\w-]+", rule["names"]))


def all_css(static: Path) -> str:
    """Return the text of every style sheet: the theme uses glyphs without naming their icons."""
    return "\n".join(path.read_text(encoding="utf8") for path in static.rglob("*.css"))


def trim_font(path: Path, codes: set[int]) -> None:
    """Write the font with these characters alone as WOFF, in place of its larger forms."""
    font = TTFont(path)
    cutter = subset.Subsetter(subset.Options(notdef_outline=True))
    cutter.populate(unicodes=codes)
    cutter.subset(font)
    font.flavor = "woff"  # compressed by zlib; WOFF2 would need a further package for little
    font.save(path.with_suffix(".woff"))
    path.unlink()
    path.with_suffix(".woff2").unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("offline_assets_digest", "", "html", str)
    app.connect("config-inited", note_sources)
    app.connect("builder-inited", add_static_files)
    # After myst-nb, which adds the page's stored widgets to its scripts on the same event.
    app.connect("html-page-context", prepare_page, priority=900)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
