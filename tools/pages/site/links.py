#!/usr/bin/env python3
"""links.py FOLDER: each link and each picture of a site leads to a file, and to a place in it, that is there. Prints those
that do not, and how many there are. Links to elsewhere are not followed."""
import sys
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src", "data") and value and tag != "form":
                self.links.append(value)
            if name in ("id", "name") and value:
                self.places.add(value)


def main(folder):
    folder = Path(folder).resolve()
    pages = {path: Page(path) for path in folder.rglob("*.html")}
    wrong = count = 0
    for path, page in sorted(pages.items()):
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            place = urllib.parse.unquote(parts.fragment)
            if not target.exists() or (place and target in pages and place not in pages[target].places):
                wrong += 1
                print("%s: %s" % (path.relative_to(folder), link))
    print("%d pages, %d links, %d wrong" % (len(pages), count, wrong))
    return wrong > 0 or count == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
