"""Segue's decoder for Python: what x86 instructions do to memory. Needs libsegue.so and nothing else.

    >>> import segue
    >>> insn = segue.decode(bytes.fromhex("488b0433"))
    >>> insn.name, insn.length, insn.class_name
    ('mov', 4, 'move')
    >>> [str(operand) for operand in insn.operands]
    ['read 8 at [rbx + rsi]']
    >>> insn.accesses(rbx=0x1000, rsi=0x20)
    [Access(address=4128, size=8, direction='read', element=8, segment='ds', flags=0)]

The structs are those of segue/decode.h and segue/regs.h. SEGUE_LIBRARY names another library file.
"""
import collections
import ctypes
import ctypes.util
import os
import sys

MODE_64, MODE_32 = 0, 1
OK, UNSUPPORTED, INVALID, UNDEFINED, TRUNCATED = 0, 1, 2, 3, 4
INSN_BYTES, MEMORY_OPERANDS, ACCESSES_MOST = 15, 2, 64
DIRECTIONS = {1: "read", 2: "write", 3: "read-write", 4: "fetch"}
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
REGISTERS = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
             "r15", "rip", "rflags", "fs_base", "gs_base")


class Error(Exception):
    """A call that failed: `status` is its enum segue_status, the text the library's."""

    def __init__(self, status, reason=None):
        super().__init__(reason or _library.segue_status_text(status).decode())
        self.status = status


class Regs(ctypes.Structure):
    """struct segue_regs."""
    _fields_ = [(name, ctypes.c_uint64) for name in REGISTERS] + [("selectors", ctypes.c_uint16 * 8)]


class MemoryOperand(ctypes.Structure):
    """struct segue_memory_operand."""
    _fields_ = [("segment", ctypes.c_uint8), ("base", ctypes.c_uint8), ("index", ctypes.c_uint8),
                ("scale", ctypes.c_uint8), ("direction", ctypes.c_uint8), ("addressing", ctypes.c_uint8),
                ("size", ctypes.c_uint16), ("element", ctypes.c_uint8), ("alignment", ctypes.c_uint8),
                ("masking", ctypes.c_uint8), ("mask", ctypes.c_uint8), ("lanes", ctypes.c_uint8),
                ("index_size", ctypes.c_uint8), ("flags", ctypes.c_uint8), ("probe", ctypes.c_uint8),
                ("displacement", ctypes.c_int64)]
    VECTOR = 6

    def __str__(self):
        parts = []
        if self.base < len(REGISTERS):
            parts.append(REGISTERS[self.base])
        if self.addressing == self.VECTOR:
            parts.append("vector%d * %d" % (self.index, self.scale))
        elif self.index < len(REGISTERS):
            parts.append(REGISTERS[self.index] + (" * %d" % self.scale if self.scale > 1 else ""))
        if self.displacement or not parts:
            parts.append("%#x" % self.displacement)
        segment = SEGMENTS[self.segment] + ":" if self.segment >= 4 else ""
        return "%s %d at %s[%s]" % (DIRECTIONS.get(self.direction, "?"), self.size, segment, " + ".join(parts))


class _Access(ctypes.Structure):
    """struct segue_access."""
    _fields_ = [("address", ctypes.c_uint64), ("size", ctypes.c_uint64), ("flags", ctypes.c_uint16),
                ("element", ctypes.c_uint8), ("direction", ctypes.c_uint8), ("segment", ctypes.c_uint8),
                ("lane", ctypes.c_uint8), ("alignment", ctypes.c_uint8), ("operand", ctypes.c_uint8)]


class _Xstate(ctypes.Structure):
    """struct segue_xstate."""
    _fields_ = [("area", ctypes.c_void_p), ("size", ctypes.c_uint32), ("features", ctypes.c_uint64)]


Access = collections.namedtuple("Access", "address size direction element segment flags")


class Insn(ctypes.Structure):
    """struct segue_insn: one decoded instruction. Its fields are those of segue/decode.h."""
    _fields_ = [("bytes", ctypes.c_uint8 * INSN_BYTES), ("length", ctypes.c_uint8), ("mnemonic", ctypes.c_uint16),
                ("mode", ctypes.c_uint8), ("address_size", ctypes.c_uint8), ("flags", ctypes.c_uint8),
                ("segment_prefix", ctypes.c_uint8), ("class_", ctypes.c_uint8), ("unlisted", ctypes.c_uint8),
                ("memory_count", ctypes.c_uint8), ("memory", MemoryOperand * MEMORY_OPERANDS),
                ("private_", ctypes.c_uint64 * 11)]

    @property
    def name(self):
        """The mnemonic, in lower case."""
        return _library.segue_mnemonic_name(self.mnemonic).decode()

    @property
    def class_name(self):
        return _library.segue_class_name(self.class_).decode()

    @property
    def operands(self):
        """The operands in memory that it reads or writes."""
        return list(self.memory[:self.memory_count])

    @property
    def is_locked(self):
        return bool(self.flags & 1)

    def accesses(self, regs=None, xstate=None, **registers):
        """The accesses that it makes with these registers, in order: of a Regs, or by name; the others are 0. `xstate`
        is an XSAVE area in the standard format, as bytes, for masks and vectors of indices; its first eight bytes at
        512 say which components it has."""
        regs = regs or Regs()
        for name, value in registers.items():
            if name not in REGISTERS:
                raise TypeError("there is no register " + name)
            setattr(regs, name, value & (1 << 64) - 1)
        state = None
        if xstate is not None:
            buffer = ctypes.create_string_buffer(len(xstate) + 64)
            start = (ctypes.addressof(buffer) + 63) & ~63
            ctypes.memmove(start, bytes(xstate), len(xstate))
            state = ctypes.byref(_Xstate(start, len(xstate), int.from_bytes(xstate[512:520], "little") | 3))
        found = (_Access * ACCESSES_MOST)()
        count = ctypes.c_size_t()
        status = _library.segue_accesses(ctypes.byref(self), ctypes.byref(regs), state, found, ACCESSES_MOST,
                                         ctypes.byref(count))
        if status == UNSUPPORTED:
            why = _library.segue_accesses_unlisted(ctypes.byref(self), ctypes.byref(regs), state)
            raise Error(status, _library.segue_unlisted_text(why).decode())
        if status != OK:
            raise Error(status)
        return [Access(one.address, one.size, DIRECTIONS.get(one.direction, "?"), one.element, SEGMENTS[one.segment],
                       one.flags) for one in found[:count.value]]

    def __repr__(self):
        return "<Insn %s: %s>" % (bytes(self.bytes[:self.length]).hex(" "), self.name)


def _load():
    given = os.environ.get("SEGUE_LIBRARY")
    library = ctypes.CDLL(given or ctypes.util.find_library("segue") or "libsegue.so.0")
    for name in ("segue_status_text", "segue_mnemonic_name", "segue_class_name", "segue_unlisted_text",
                 "segue_version_text"):
        getattr(library, name).restype = ctypes.c_char_p
    library.segue_decode.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(Insn)]
    library.segue_accesses.argtypes = [ctypes.POINTER(Insn), ctypes.POINTER(Regs), ctypes.c_void_p,
                                       ctypes.POINTER(_Access), ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t)]
    library.segue_accesses_unlisted.argtypes = [ctypes.POINTER(Insn), ctypes.POINTER(Regs), ctypes.c_void_p]
    return library


_library = _load()
version = _library.segue_version_text().decode()


def decode(code, mode=MODE_64):
    """The instruction at the beginning of `code`. Raises Error: TRUNCATED, or UNDEFINED if it is none."""
    insn = Insn()
    status = _library.segue_decode(mode, bytes(code), len(code), ctypes.byref(insn))
    if status != OK:
        raise Error(status)
    return insn


def disassemble(code, mode=MODE_64):
    """Yields (offset, Insn) for the whole of `code`; None in place of the Insn for a byte at which none begins."""
    code = bytes(code)
    offset = 0
    while offset < len(code):
        try:
            insn = decode(code[offset:offset + INSN_BYTES], mode)
        except Error:
            insn = None
        yield offset, insn
        offset += insn.length if insn else 1


def mnemonics():
    """The names of all mnemonics, by their numbers."""
    return {_library.segue_mnemonic_name(i).decode(): i for i in range(1, _library.segue_mnemonic_count())}


def corpus_decoder(answer):
    """Makes a script a decoder for `segue corpus check --decoder NAME='python3 script.py'`: `answer` is called with each
    row's bytes, and returns (length, text in Intel's syntax), the length alone, or None if they are no instruction.
    The row has 32 bytes, of which the instruction is the beginning. A text is compared with its operands; of a length
    alone, only that."""
    for line in sys.stdin:
        found = answer(bytes.fromhex(line))
        if found is None:
            print("refused")
        else:
            length, text = found if isinstance(found, tuple) else (found, None)
            print("ok %d" % length if text is None else "ok %d %s" % (length, text))
