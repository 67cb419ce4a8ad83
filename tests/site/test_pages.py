"""What the pages say and where they lead, read from the files."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from fontTools.ttLib import TTFont
from visits import ROOT

# Signs of an accident: markup that no parser took, a note to oneself, a folder.
ACCIDENTS = re.compile(
    r"\{(?:ref|eq|numref|cite:p|cite:t|doc)\}`|^:::|```\{"
    r"|\b(?:TODO|FIXME|XXX|lorem ipsum)\b|localhost|/tmp/|/root/|/home/\w+|/Users/\w+|file://",
    re.IGNORECASE | re.MULTILINE,
)


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    soup = parsed(path)
    return frozenset(tag["id"] for tag in soup.find_all(id=True)) | {"", "top"}


def references(soup: BeautifulSoup) -> list[str]:
    tags = soup.find_all(lambda tag: isinstance(tag, Tag) and (tag.get("href") or tag.get("src")))
    return [str(tag.get("href") or tag.get("src")) for tag in tags]


def test_links_lead_somewhere(html: Path, page_path: str) -> None:
    page = html / page_path
    dead = []
    for reference in references(parsed(page)):
        parts = urlsplit(reference)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        inside = anchors(target) if target.suffix == ".html" and target.is_file() else {""}
        if not target.is_file() or unquote(parts.fragment) not in inside:
            dead.append(reference)
    assert dead == []


def test_nothing_is_fetched_from_elsewhere(html: Path, page_path: str) -> None:
    tags = parsed(html / page_path).find_all(["script", "img", "link", "iframe", "source", "video"])
    fetched = [str(tag.get("src") or tag.get("href") or "") for tag in tags]
    assert [address for address in fetched if urlsplit(address).netloc] == []


def test_no_accidents(html: Path, page_path: str) -> None:
    main = parsed(html / page_path).find(id="main-content")
    assert isinstance(main, Tag)
    text = main.get_text()
    assert [match[0] for match in ACCIDENTS.finditer(text)] == []
    failed = ".output.traceback, .output.stderr, .system-message, .problematic"
    assert [tag.get_text()[:200] for tag in main.select(failed)] == []


def test_pictures_say_what_they_show(html: Path, page_path: str) -> None:
    pictures = parsed(html / page_path).select("main img")
    texts = [str(picture.get("alt", "")).strip() for picture in pictures]
    # The name of its own file is no alternative.
    assert [text for text in texts if not text or re.fullmatch(r"\S+\.(png|svg|jpe?g)", text)] == []


def test_icons_are_in_the_fonts(html: Path, page_path: str) -> None:
    """The build cuts the icon fonts to what is in use; nothing in use may be cut."""
    classes = {name for tag in parsed(html / page_path).select("i[class]") for name in tag["class"]}
    css = (html / "_static/styles/pydata-sphinx-theme.css").read_text("utf8")
    rule = r'\.{}:before[^{{}}]*\{{content:"\\([0-9a-f]+)"'
    glyphs = set[int]()
    for font in html.rglob("webfonts/*.woff"):
        glyphs |= TTFont(font).getBestCmap().keys()
    styles = {"fa-solid", "fa-regular", "fa-brands", "fa-lg", "fa-fw"}
    icons = {name for name in classes if name.startswith("fa-")} - styles
    drawn = {
        icon
        for icon in icons
        if (found := re.search(rule.format(icon), css)) and int(found[1], 16) in glyphs
    }
    assert icons - drawn == set()


def test_no_path_of_this_machine(html: Path) -> None:
    told = [
        path.relative_to(html).as_posix()
        for kind in ("html", "ipynb", "js", "txt")
        for path in html.rglob(f"*.{kind}")
        if str(ROOT) in path.read_text("utf8")
    ]
    assert told == []
