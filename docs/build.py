"""Check the links between the project's pages and build those under docs/ as a site.

Run by ``make docs``; ``python docs/build.py --check`` only checks. Zensical makes the site from
``mkdocs.yml`` without a network, to be read from the disk: ``docs/_build/site/index.html``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BUILD = DOCS / "_build"
PAGES, SITE = BUILD / "pages", BUILD / "site"
SOURCES = "https://github.com/napari-histoaug/napari-histoaug/blob/main/"
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
OUTSIDE = re.compile(r"[a-z]+:")


def pages() -> list[Path]:
    """Every Markdown page of the project, the reader's first one first."""
    top = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    return top + sorted(p for p in DOCS.rglob("*.md") if BUILD not in p.parents)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(text))
    return {re.sub(r"[ -]+", "-", title.strip()) for title in plain}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of a page."""
    broken = []
    for _, link, _ in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if OUTSIDE.match(link):
            continue
        target, _, anchor = link.partition("#")
        place = page.parent / target if target else page
        if not place.exists():
            broken.append(f"{page.relative_to(ROOT)}: there is no {link}")
        elif anchor and place.suffix == ".md" and anchor not in anchors(place):
            broken.append(f"{page.relative_to(ROOT)}: there is no heading {link}")
    return broken


def pages_not_listed() -> list[str]:
    """Pages under docs/ that the site's menu does not lead to, and entries without a page."""
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = set(_leaves(menu))
    there = {p.relative_to(DOCS).as_posix() for p in pages() if DOCS in p.parents}
    missing = [f"mkdocs.yml: {name} is not in nav" for name in sorted(there - listed)]
    return missing + [f"mkdocs.yml: there is no docs/{name}" for name in sorted(listed - there)]


def _leaves(menu: object) -> list[str]:
    if isinstance(menu, str):
        return [menu]
    parts = menu.values() if isinstance(menu, dict) else menu
    return [leaf for part in parts for leaf in _leaves(part)]  # type: ignore[attr-defined]


def stage() -> None:
    """Copy the pages with their pictures; links to other files lead to the project's sources."""
    shutil.rmtree(BUILD, ignore_errors=True)
    leave = shutil.ignore_patterns("_build", "*.py", "__pycache__")
    shutil.copytree(DOCS, PAGES, ignore=leave)
    for page in PAGES.rglob("*.md"):
        own = DOCS / page.relative_to(PAGES)
        text = page.read_text(encoding="utf-8")
        page.write_text(LINK.sub(partial(_led, own), text), encoding="utf-8")


def _led(page: Path, found: re.Match[str]) -> str:
    opening, link, closing = found.groups()
    place = (page.parent / link.partition("#")[0]).resolve()
    if OUTSIDE.match(link) or link.startswith("#") or place.is_relative_to(DOCS):
        return found.group()
    return f"{opening}{SOURCES}{place.relative_to(ROOT).as_posix()}{closing}"


class _Links(HTMLParser):
    """Collects what a page links to, and the names it can be linked by."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ("href", "src") and value:
                self.links.append(value)
            elif key == "id" and value:
                self.names.add(value)


def broken_in_site() -> list[str]:
    """Links of the built pages that lead nowhere, and anything that would need a network."""
    read = {page: _Links() for page in SITE.rglob("*.html") if page.name != "404.html"}
    for page, found in read.items():
        found.feed(page.read_text(encoding="utf-8"))
    broken = []
    for page, found in read.items():
        for link in found.links:
            if OUTSIDE.match(link):
                continue
            path, _, name = unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            known = target.is_file() and (
                not name or target not in read or name in read[target].names
            )
            if not known and name != "__skip":
                broken.append(f"{page.relative_to(SITE)}: there is no {link}")
        text = page.read_text(encoding="utf-8")
        broken += [
            f"{page.name} loads {src}"
            for src in re.findall(r'<(?:script|link|img)[^>]+"(https?://[^"]+)"', text)
        ]
    return broken


def build() -> list[str]:
    """Build the site; returns what is wrong with it."""
    stage()
    command = [
        sys.executable,
        "-m",
        "zensical",
        "build",
        "--strict",
        "-f",
        str(ROOT / "mkdocs.yml"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return [done.stdout + done.stderr]
    return broken_in_site()


def main() -> int:
    """Return 1 when a link is broken."""
    broken = [line for page in pages() for line in broken_links(page)] + pages_not_listed()
    if not broken and "--check" not in sys.argv:
        broken = build()
    if broken:
        sys.stderr.write("\n".join(broken) + "\n")
        return 1
    if "--check" not in sys.argv:
        sys.stdout.write(f"{len(pages())} pages were checked; read {SITE / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
