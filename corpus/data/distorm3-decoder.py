#!/usr/bin/env python3
"""diStorm3 as a decoder for `segue corpus check --decoder distorm3=distorm3-decoder.py` (docs/corpus.md): status and
length, not its text. It needs the library alone (Debian: libdistorm3-3). With --version, prints its version, or fails.
"""
import ctypes
import sys

TEXT = 48


class Word(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint), ("text", ctypes.c_char * TEXT)]


class Decoded(ctypes.Structure):
    _fields_ = [("mnemonic", Word), ("operands", Word), ("hex", Word), ("size", ctypes.c_uint),
                ("offset", ctypes.c_uint64)]


def load():
    try:
        return ctypes.CDLL("libdistorm3.so.3")
    except OSError:
        sys.exit("distorm3-decoder.py: there is no libdistorm3.so.3 (Debian: libdistorm3-3)")


def main():
    library = load()
    version = library.distorm_version()
    if sys.argv[1:] == ["--version"]:
        print(f"{version >> 16}.{version >> 8 & 255}.{version & 255}")
        return
    decode = library.distorm_decode64
    decode.argtypes = [ctypes.c_uint64, ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.POINTER(Decoded),
                       ctypes.c_uint, ctypes.POINTER(ctypes.c_uint)]
    result, used, answers = Decoded(), ctypes.c_uint(), []
    for line in sys.stdin:
        row = bytes.fromhex(line)
        decode(0, row, len(row), 2, result, 1, used)
        is_instruction = used.value and result.offset == 0 and not result.mnemonic.text.startswith(b"DB ")
        answers.append(f"ok {result.size}" if is_instruction else "refused")
    answers.append("")
    sys.stdout.write("\n".join(answers))


main()
