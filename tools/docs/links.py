"""Checks the links of the built site:

    python -m tools.docs.links build/docs

What a link within the site leads to has to be there, the place in the page too; of one to elsewhere only its
form is looked at, as nothing is fetched. Exit code 1, with a line for each that is broken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LINKS = {"a": "href", "link": "href", "img": "src", "script": "src"}
_ELSEWHERE = ("http", "https", "mailto")


class Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to.

    Attributes:
        links: as they are written.
        places: the ids of its elements.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of the parser: each element as it begins."""
        given = dict(attrs)
        self.places.update(value for name in ("id", "name") if (value := given.get(name)))
        if (link := given.get(_LINKS.get(tag, ""))) is not None:
            self.links.append(link)


def broken(folder: Path) -> Iterator[str]:
    """A line for each link of a folder of HTML that leads nowhere."""
    pages = {
        path.resolve(): Page(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))
    }
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            why = _fault(path, link, pages)
            if why:
                yield f"{path.relative_to(folder.resolve())}: {link}: {why}"


def _fault(path: Path, link: str, pages: dict[Path, Page]) -> str | None:
    try:
        parts = urlsplit(link)
    except ValueError as error:
        return str(error)
    if parts.scheme or parts.netloc:
        host = parts.netloc or parts.scheme == "mailto"
        well_formed = parts.scheme in _ELSEWHERE and host and not any(map(str.isspace, link))
        return None if well_formed else "is no address"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.exists():
        return "there is no such file"
    if target in pages and unquote(parts.fragment) not in pages[target].places:
        return "there is no such place in it"
    return None


def main() -> None:
    """The command."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit((__doc__ or "").strip())
    found = list(broken(Path(sys.argv[1])))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
