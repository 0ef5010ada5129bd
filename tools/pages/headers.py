"""Reads the public headers: each function with its comment, its prototype and the types that it names.

A comment belongs to the declarations up to the next blank line, so functions that are explained together stay together
(a Group). Comments end, by their own rule (status.h), with what the function returns and with `MT-Safe, AS-Safe`.
"""
import re
from pathlib import Path

MARKS = r"SEGUE_(?:CHECK|API|INLINE|RETURNS_TWICE|NORETURN)"
FUNCTION = re.compile(r"(?:%s\s+)+([^;{}()]*?)\b(segue_\w+)\s*(\([^;{}]*?\))\s*(?:SEGUE_\w+\s*)?[;{]" % MARKS, re.S)
TYPE = re.compile(r"^(?:typedef\s+)?(?:struct|enum)\s+(?:SEGUE_\w+\([^)]*\)\s+)?(segue_\w+)\s*\{", re.M)
SAFETY = re.compile(r"\b(MT-(?:Safe|Unsafe)[^.]*?AS-(?:Safe|Unsafe)[^.]*)\.")


class Function:
    def __init__(self, name, returns, parameters):
        self.name = name
        self.returns = " ".join(returns.split())
        self.parameters = " ".join(parameters.split())

    @property
    def prototype(self):
        space = "" if self.returns.endswith("*") else " "
        return "%s%s%s%s;" % (self.returns, space, self.name, self.parameters)


class Group:
    """Functions of one comment."""

    def __init__(self, header, comment, functions):
        self.header, self.comment, self.functions = header, comment, functions

    @property
    def names(self):
        return [function.name for function in self.functions]

    @property
    def safety(self):
        found = SAFETY.search(" ".join(self.comment.split()))
        return found.group(1) if found else None

    @property
    def paragraphs(self):
        """Of the description: without what is returned, if that begins a sentence, and without the safety."""
        return self._split()[0]

    @property
    def returned(self):
        return self._split()[1]

    def _split(self):
        text = [" ".join(one.split()) for one in self.comment.split("\n\n")]
        description, returned = [], []
        for paragraph in text:
            paragraph = SAFETY.sub("", paragraph).strip()
            # What follows the first sentence that begins so belongs to it, up to the paragraph's end.
            parts = re.split(r"(?:(?<=^)|(?<=[.:] ))(?=Returns? )", paragraph, maxsplit=1)
            if parts[0].strip():
                description.append(parts[0].strip())
            if len(parts) > 1:
                returned.append(parts[1].strip())
        return description, returned

    @property
    def summary(self):
        """The first sentence."""
        first = " ".join(self.comment.split())
        return re.split(r"(?<=[^A-Z]\.)\s", first, maxsplit=1)[0].rstrip(".")


class Header:
    def __init__(self, path):
        self.name = path.name
        text = path.read_text()
        # The file's own comment, up to its sources.
        self.about = clean(re.match(r"/\*(.*?)\*/", text, re.S).group(1))
        self.groups, self.types = [], {}
        for chunk in chunks(text):
            self._read(chunk)

    def _read(self, chunk):
        comment = ""
        found = re.match(r"\s*/\*(.*?)\*/", chunk, re.S)
        if found:
            comment = clean(found.group(1))
        code = re.sub(r"^\s*#.*$", "", re.sub(r"/\*.*?\*/", "", chunk, flags=re.S), flags=re.M)
        functions = []
        for returns, name, parameters in FUNCTION.findall(code):
            if not name.endswith("_"):
                functions.append(Function(name, returns, parameters))
        if functions:
            # The comment may be that of the chunk before: inline functions behind a declaration.
            self.groups.append(Group(self.name, comment, functions))
        for name in TYPE.findall(code):
            self.types[name] = chunk.strip()


def clean(comment):
    """Without the asterisks, and with paragraphs."""
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip() for line in comment.strip().split("\n")]
    return "\n".join(lines).strip()


def chunks(text):
    """What stands between blank lines, outside of braces and comments."""
    chunk, depth, in_comment = [], 0, False
    for line in text.split("\n"):
        if not line.strip() and depth == 0 and not in_comment:
            if chunk:
                yield "\n".join(chunk)
            chunk = []
            continue
        chunk.append(line)
        bare = line
        while True:
            if in_comment:
                end = bare.find("*/")
                if end < 0:
                    break
                bare, in_comment = bare[end + 2:], False
            begin = bare.find("/*")
            counted = bare if begin < 0 else bare[:begin]
            depth += counted.count("{") - counted.count("}")
            if begin < 0:
                break
            bare, in_comment = bare[begin + 2:], True
    if chunk:
        yield "\n".join(chunk)


def read(paths):
    """The headers that declare something, in the order of their names."""
    headers = [Header(Path(path)) for path in sorted(paths) if Path(path).name != "segue.h"]
    return [header for header in headers if header.groups or header.types]
