#!/usr/bin/env python3
"""site.py SOURCE VERSION FOLDER: the documents, the programs of examples/ and the reference of the headers as a site with
search, by Sphinx. Pages, programs and headers are those of the tree: none is listed here but the order of the first."""
import html
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import headers  # noqa: E402

# What a reader wants first; pages that are not named follow in the order of their names.
FIRST = ["guide", "install", "examples", "watch", "hot", "sigchain", "python", "demos", "run", "patch", "corpus",
         "debugging"]
MAKE = ["design", "testing", "fuzzing", "platforms", "facts", "CONTRIBUTING"]


# The colours of bars.
OWN, OTHERS = "#3465c9", "#9aa3b2"

# The tree.
SOURCE = []


def title_of(text):
    return re.search(r"^# (.*)$", text, re.M).group(1)


def relink(text, page, pages):
    """Links between documents as they are here; those to files that are not pages become code."""
    def link(found):
        label, target = found.group(1), found.group(2)
        if "://" in target or target.startswith("#"):
            return found.group(0)
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), path))
        if path == "include/segue":
            return "[%s](%s)" % (label, os.path.relpath("api/index.md", os.path.dirname(page) or "."))
        if re.match(r"include/segue/\w+\.h$", path):
            return "[%s](%s)" % (label, os.path.relpath("api/%s.md" % path.split("/")[2].replace(".h", ""),
                                                        os.path.dirname(page) or "."))
        if path in pages:
            # What is called by its file in the tree has a title here.
            if label.endswith(".md"):
                label = title_of((SOURCE[0] / path).read_text())
            return "[%s](%s%s)" % (label, os.path.relpath(path, os.path.dirname(page) or "."),
                                   "#" + anchor if anchor else "")
        return "`%s`" % path
    return re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", link, text)


def write_api(work, include):
    """A page for each header."""
    (work / "api").mkdir()
    names = []
    for header in headers.read(include.glob("*.h")):
        page = header.name.replace(".h", "")
        names.append(page)
        out = ["# `<segue/%s>`" % header.name, ""]
        about = re.sub(r"^\w+\.h: ", "", header.about).split("\n\n")
        out += ["%s\n" % paragraph for paragraph in about]
        for group in header.groups:
            out += ["## " + ", ".join("`%s`" % name for name in group.names), "", "```c"]
            out += [function.prototype for function in group.functions] + ["```", ""]
            out += ["%s\n" % literal(paragraph) for paragraph in group.paragraphs]
            out += ["%s\n" % literal(paragraph) for paragraph in group.returned]
            if group.safety:
                out += ["*%s*\n" % group.safety]
        if header.types:
            out += ["## Types", ""]
        for name, text in header.types.items():
            out += ["### `%s`" % name, "", "```c", text, "```", ""]
        (work / "api" / (page + ".md")).write_text("\n".join(out))
    (work / "api" / "index.md").write_text(
        "# Reference\n\nEach header, and `man 3` of each function, say the same.\n\n```{toctree}\n:maxdepth: 1\n\n%s\n```\n" %
        "\n".join(names))


def literal(text):
    """Names in code's letters, and nothing that Markdown would take for its own."""
    text = re.sub(r"(?<![`\w])((?:SEGUE|segue)_\w+)", r"`\1`", text)
    return re.sub(r"([*<>\[\]])(?![^`]*`(?:[^`]*`[^`]*`)*[^`]*$)", r"\\\1", text)


def write_tutorials(work, source):
    """The sections of docs/examples.md, each with its program, which the tests compile and run."""
    (work / "tutorials").mkdir()
    text = (source / "docs/examples.md").read_text()
    names = []
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        name, body = section.split("\n", 1)
        name = name.strip()
        programs = [(compiler, source / "examples" / (name + suffix))
                    for compiler, suffix in (("cc -std=gnu17", ".c"), ("c++ -std=c++20", ".cpp"))]
        programs = [(compiler, program) for compiler, program in programs if program.is_file()]
        if not programs:
            continue
        compiler, program = programs[0]
        # Of a folder below examples/ by its own name, too.
        name = program.stem
        names.append(name)
        (work / "tutorials" / (name + ".md")).write_text(
            "# %s\n%s\n## The program\n\n    %s %s $(pkg-config --cflags --libs segue) -lpthread -o %s\n\n"
            "```%s\n%s```\n" % (name, relink(body, "docs/examples.md", set()), compiler, program.name, name,
                               program.suffix[1:], program.read_text()))
    (work / "tutorials" / "index.md").write_text(
        "# Tutorials\n\nEach is one complete program; the tests compile and run it as it stands here.\n\n"
        "```{toctree}\n:maxdepth: 1\n\n%s\n```\n" % "\n".join(names))


def in_words(nanoseconds):
    """A time with a unit by its size."""
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanoseconds >= unit:
            return "%.3g %s" % (nanoseconds / unit, name)
    return "%.3g ns" % nanoseconds


def chart(rows):
    """Bars with the value, in nanoseconds, at the bar: Segue's in one colour, the others in another. Where they reach over
    more than a factor of thirty the axis is logarithmic, with a line for each power of ten."""
    width, left, line = 440, 8, 46
    most, least = max(value for _, value, _ in rows), min(value for _, value, _ in rows)
    height = line * len(rows) + 8
    start = 10 ** math.floor(math.log10(least / 2)) if most > 30 * least else None
    room = width - 90

    def length(value):
        return math.log10(value / start) / math.log10(most / start) * room if start else value / most * room
    out = ['<svg viewBox="0 0 %d %d" role="img" font-family="sans-serif" font-size="13">' % (
        width, height + (46 if start else 24))]
    power = start
    while power and power <= most:
        x = left + length(power)
        out.append('<line x1="%.1f" x2="%.1f" y1="0" y2="%d" stroke="currentColor" stroke-opacity="0.15"/>' % (x, x, height))
        out.append('<text x="%.1f" y="%d" fill="currentColor" font-size="11" text-anchor="%s">%s</text>' % (
            x, height + 12, "start" if power == start else "middle", in_words(power)))
        power *= 10
    for i, (label, value, own) in enumerate(rows):
        y = i * line
        out.append('<text x="%d" y="%d" fill="currentColor">%s</text>' % (left, y + 16, html.escape(label)))
        out.append('<rect x="%d" y="%d" width="%.1f" height="16" fill="%s"/>' % (
            left, y + 22, max(2, length(value)), OWN if own else OTHERS))
        out.append('<text x="%.1f" y="%d" fill="currentColor">%s</text>' % (
            left + length(value) + 6, y + 35, in_words(value)))
    y = height + (24 if start else 2)
    for x, colour, text in ((left, OWN, "Segue"), (left + 90, OTHERS, "others")):
        out.append('<rect x="%d" y="%d" width="12" height="12" fill="%s"/>' % (x, y, colour))
        out.append('<text x="%d" y="%d" fill="currentColor">%s</text>' % (x + 18, y + 11, text))
    if start:
        out.append('<text x="%d" y="%d" fill="currentColor" font-size="11">logarithmic</text>' % (left + 180, y + 11))
    return '<div class="chart">\n%s\n</div>\n' % "\n".join(out + ["</svg>"])


def with_charts(text):
    """A chart behind each table of times: what, by whom, nanoseconds."""
    def draw(found):
        rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in found.group(1).splitlines()]
        return "%s\n%s" % (found.group(0), chart([(what.replace("`", ""), float(time.replace(",", "")), by == "Segue")
                                                 for what, by, time in rows]))
    return re.sub(r"^\|[^|\n]*\| by \| nanoseconds \|\n\|[-| ]*\|\n((?:\|.*\|\n)+)", draw, text, flags=re.M)


def write_index(work, source, readme):
    """The README, with a chart behind its table of times."""
    rows = [(label.strip(), 1000 * float(value)) for label, value in
            re.findall(r"^\| ([^|]+) \| ([0-9.]+) \|$", readme, re.M)]
    rows = [(re.sub(r"`", "", label), value, "stepped" in label or "same without" in label) for label, value in rows]
    readme = re.sub(r"(\n\| an empty signal handler \|.*?\n)\n", lambda found: found.group(1) + "\n" + chart(rows) + "\n",
                    readme, count=1, flags=re.S)
    pages = sorted(path.stem for path in (work / "docs").glob("*.md"))
    first = [name for name in FIRST if name in pages]
    make = [name for name in MAKE if name in pages]
    rest = [name for name in pages if name not in first and name not in make]

    def tree(caption, names):
        return "```{toctree}\n:hidden:\n:caption: %s\n\n%s\n```\n" % (caption, "\n".join(names))
    readme += "\n" + tree("Start here", ["docs/guide", "docs/install", "tutorials/index", "not", "how"])
    readme += tree("Uses", ["docs/" + name for name in first if name not in ("guide", "install")])
    readme += tree("In depth", ["docs/" + name for name in rest])
    readme += tree("Reference", ["api/index", "CHANGELOG", "SECURITY"])
    readme += tree("Changing it", ["docs/" + name for name in make if name != "CONTRIBUTING"] + ["CONTRIBUTING"])
    (work / "index.md").write_text(readme)


def main(source, version, folder):
    source, folder = Path(source).resolve(), Path(folder).resolve()
    SOURCE.append(source)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        (work / "docs").mkdir()
        (work / "_static").mkdir()
        pages = {"docs/" + path.name for path in (source / "docs").glob("*.md")}
        pages |= {"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
        for page in pages:
            (work / page).write_text(with_charts(relink((source / page).read_text(), page, pages)))
        for name in ("how.md", "not.md"):
            shutil.copy(HERE / name, work)
        shutil.copytree(HERE / "diagrams", work / "diagrams")
        shutil.copy(HERE / "conf.py", work)
        shutil.copy(HERE / "site.css", work / "_static")
        write_api(work, source / "include/segue")
        write_tutorials(work, source)
        write_index(work, source, relink((source / "README.md").read_text(), "README.md", pages))
        shutil.rmtree(folder, ignore_errors=True)
        environment = dict(os.environ, SEGUE_SITE_VERSION=version)
        subprocess.run(["sphinx-build", "-q", "-W", "--keep-going", "-b", "html", "-d", str(work / "doctrees"), str(work),
                        str(folder)], check=True, env=environment)
    (folder / ".buildinfo").unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
