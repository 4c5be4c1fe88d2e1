"""Check the links between the project's pages and build them as HTML in docs/_build/.

Run by ``make docs``; ``python docs/build.py --check`` only checks.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "docs" / "_build"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.55 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto;
       padding: 0 1rem; color: #222 }}
img {{ max-width: 100% }} pre {{ background: #f4f4f4; padding: .8rem; overflow-x: auto }}
table {{ border-collapse: collapse }} td, th {{ border: 1px solid #ccc; padding: .25rem .6rem }}
</style>
{body}
</html>
"""


def pages() -> list[Path]:
    """Every Markdown page of the project, the reader's first one first."""
    top = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    return top + sorted(p for p in (ROOT / "docs").rglob("*.md") if BUILD not in p.parents)


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file."""
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        target = link.partition("#")[0]
        outside = re.match(r"[a-z]+:", link) is not None
        if target and not outside and not (page.parent / target).exists():
            broken.append(f"{page.relative_to(ROOT)}: there is no {link}")
    return broken


def build() -> None:
    """Write every page as HTML, with the files it shows beside it."""
    shutil.rmtree(BUILD, ignore_errors=True)
    markdown = MarkdownIt("commonmark").enable("table")
    for page in pages():
        text = page.read_text(encoding="utf-8")
        body = re.sub(r'(href="[^":]+)\.md(["#])', r"\1.html\2", markdown.render(text))
        title = text.lstrip("# ").partition("\n")[0]
        target = (BUILD / page.relative_to(ROOT)).with_suffix(".html")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(PAGE.format(title=title, body=body), encoding="utf-8")
    for folder in ("images", "licences"):
        shutil.copytree(ROOT / "docs" / folder, BUILD / "docs" / folder, dirs_exist_ok=True)
    for name in ("LICENSE", "CITATION.cff"):
        shutil.copy2(ROOT / name, BUILD)


def main() -> int:
    """Return 1 when a link is broken."""
    broken = [line for page in pages() for line in broken_links(page)]
    if broken:
        sys.stderr.write("\n".join(broken) + "\n")
        return 1
    if "--check" not in sys.argv:
        build()
        sys.stdout.write(f"{len(pages())} pages are in {BUILD / 'README.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
