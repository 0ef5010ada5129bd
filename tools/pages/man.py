#!/usr/bin/env python3
"""man.py VERSION FOLDER HEADER...: a manual page of section 3 for each public function, from the headers' comments.
Functions that a header explains together have one page, and the other names lead to it."""
import re
import shutil
import sys
from pathlib import Path

import headers


def quoted(text):
    """As roff's own text."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha").replace("~", "\\(ti")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def marked(text, names):
    """A paragraph: code in bold, functions with their section."""
    text = quoted(text)
    text = re.sub(r"`([^`]*)`", r"\\fB\1\\fP", text)
    return re.sub(r"\b(segue_\w+)\b(?!\()",
                  lambda found: "\\fB%s\\fP(3)" % found.group(1) if found.group(1) in names else found.group(1), text)


def wrapped(prototype):
    """A parameter a line where it is long."""
    if len(prototype) <= 76:
        return [prototype]
    head, parameters = prototype.split("(", 1)
    parameters = re.split(r",\s*(?![^(]*\))", parameters)
    indent = " " * 4
    lines = [head + "("]
    for i, parameter in enumerate(parameters):
        lines.append(indent + parameter + ("," if i + 1 < len(parameters) else ""))
    return lines


def types_of(group, types):
    """The types that its prototypes name, in that order."""
    named = []
    for function in group.functions:
        for name in re.findall(r"(?:struct|enum) (segue_\w+)", function.prototype):
            if name in types and name not in named:
                named.append(name)
    return [types[name] for name in named if name != "segue_status"]


def page(version, header, group, names, types):
    out = ['.TH "%s" "3" "" "Segue %s" "Segue Programmer\\(aqs Manual"' % (group.names[0], version), ".nh", ".SH NAME"]
    summary = group.summary or "see below"
    summary = summary[0].lower() + summary[1:] if not re.match(r"[A-Z]{2}", summary) else summary
    out.append("%s \\- %s" % (", ".join(group.names), quoted(summary)))
    out += [".SH LIBRARY", "Segue (\\fIlibsegue\\fP, \\fI\\-lsegue\\fP)", ".SH SYNOPSIS", ".nf",
            ".B #include <segue/%s>" % quoted(header.name), ".PP"]
    for function in group.functions:
        out += ["\\fB%s\\fP" % quoted(line) for line in wrapped(function.prototype)]
    out += [".fi", ".SH DESCRIPTION"]
    for i, paragraph in enumerate(group.paragraphs):
        if i:
            out.append(".PP")
        out.append(marked(paragraph, names - set(group.names)))
    if group.returned:
        out.append(".SH RETURN VALUE")
        for i, paragraph in enumerate(group.returned):
            if i:
                out.append(".PP")
            out.append(marked(paragraph, names - set(group.names)))
    if group.safety:
        out += [".SH ATTRIBUTES", marked(group.safety, set()) + ". (\\fBattributes\\fP(7); AS: async\\-signal\\-safe.)"]
    shown = types_of(group, types)
    if shown:
        out += [".SH TYPES", ".nf"]
        for i, one in enumerate(shown):
            if i:
                out.append(".PP")
            out += [quoted(line) if line.strip() else ".PP" for line in one.split("\n")]
        out.append(".fi")
    others = [other for one in header.groups for other in one.names[:1] if other not in group.names]
    out.append(".SH SEE ALSO")
    out.append(", ".join("\\fB%s\\fP(3)" % other for other in others[:24]) + (", " if others else "") + "\\fBsegue\\fP(1)")
    return "\n".join(out) + "\n"


def main(version, folder, paths):
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    all_headers = headers.read(paths)
    names = {name for header in all_headers for group in header.groups for name in group.names}
    types = {name: text for header in all_headers for name, text in header.types.items()}
    for header in all_headers:
        for group in header.groups:
            (folder / (group.names[0] + ".3")).write_text(page(version, header, group, names, types))
            for other in group.names[1:]:
                (folder / (other + ".3")).write_text(".so man3/%s.3\n" % group.names[0])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
