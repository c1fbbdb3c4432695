"""What MkDocs is told beyond mkdocs.yml: pages that lie outside docs/, links as the repository has them, formulae.

Pages are written to be read in the repository; here nothing is written twice for the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = {  # files of the repository that are pages of the site
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    **{f"data/{name}/README.md": f"data/{name}.md" for name in ("raw", "rigs", "curves", "ground_truth")},
}
LINK = re.compile(
    r"(?P<image>!?)\[(?P<label>(?:[^][]|\[[^]]*\])*)\]\((?P<target>[^()#\s]*)(?P<anchor>#[^()\s]*)?\)"
)
FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def on_config(config: Any) -> Any:
    """Put every page of a folder that the navigation names in its place."""
    for item in config["nav"]:
        for title, name in item.items():
            if isinstance(name, str) and (ROOT / "docs" / name).is_dir():
                item[title] = [
                    {_title(p.stem): f"{name}/{p.name}"} for p in sorted((ROOT / "docs" / name).glob("*.md"))
                ]
    return config


def _title(stem: str) -> str:
    """Return the name of a page as it stands in a menu: without the number before it."""
    return stem.lstrip("0123456789-").replace("-", " ").capitalize()


def on_files(files: Any, config: Any) -> Any:
    """Add the pages outside docs/."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links between files of the repository into links between pages."""
    uri: str = page.file.src_uri
    return rewritten(markdown, uri)


def rewritten(markdown: str, page: str) -> str:
    """Return the text of the page `page` of the site with links as the site needs them.

    A link to a file that is no page (source, parameters) becomes its label; code blocks are left as they are.
    """
    source = next((s for s, p in PAGES.items() if p == page), f"docs/{page}")

    def link(found: re.Match[str]) -> str:
        target = found["target"]
        if not target or ":" in target:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        there = PAGES.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if there is None:  # one that does not exist stays, so that the strict build says so
            return found["label"] if (ROOT / path).exists() else found[0]
        there = posixpath.relpath(there, posixpath.dirname(page) or ".")
        return f"{found['image']}[{found['label']}]({there}{found['anchor'] or ''})"

    parts = FENCE.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def mathml(source: str, language: str, class_name: str, options: Any, md: Any, **_: Any) -> str:
    """Return a ```math block as MathML, which browsers draw without a script."""
    from latex2mathml.converter import convert

    return f'<div class="{class_name}">{convert(source, display="block")}</div>'
