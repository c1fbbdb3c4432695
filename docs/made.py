"""Parts of pages that programs make: between two comments, so that the rest of the page is written by hand."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- made by `python -m docs.{} --write`: do not edit -->\n", "<!-- end of what is made -->\n"


def put(page: str, name: str, text: str) -> str:
    """Return `page` with `text` between the comments of the module ``docs.<name>``.

    Raises
    ------
    ValueError
        If the page lacks the comments.
    """
    begin = BEGIN.format(name)
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"the page lacks the comments of docs.{name}")
    return f"{before}{begin}\n{text.strip()}\n\n{END}{after}"


def main(page: Path, name: str, text: str, write: bool) -> int:
    """Put the made part of a page right, or return 1 if it is not."""
    old = page.read_text(encoding="utf-8")
    new = put(old, name, text)
    if write:
        page.write_text(new, encoding="utf-8")
    return 0 if write or new == old else 1
