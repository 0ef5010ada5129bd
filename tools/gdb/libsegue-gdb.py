"""gdb's companion of libsegue.so, loaded with it (docs/debugging.md).

Once the library is installed in the program, faults that it serves pass unseen, and gdb stops at those that kill:
where the library calls segue_debug_unhandled. `segue regions` and `segue sites` read the library's tables, for which
they need its debug information, and call nothing in the program.
"""
import gdb
import gdb.printing

PAGE_BITS = 12
LEVEL_BITS = 9
KINDS = {0: "alias", 1: "exposed", 2: "device", 3: "forced"}


def pass_faults(is_served):
    how = "nostop noprint pass" if is_served else "stop print pass"
    gdb.execute("handle SIGSEGV " + how, to_string=True)


class Installed(gdb.Breakpoint):
    """Where the handler is installed or removed: faults are served from there on, or not."""

    def __init__(self, function, is_served):
        super().__init__(function, internal=True)
        self.silent = True
        self.is_served = is_served

    def stop(self):
        pass_faults(self.is_served)
        return False


class Unhandled(gdb.Breakpoint):
    """Where a fault kills."""

    def stop(self):
        frame = gdb.newest_frame()
        fault = int(frame.read_register("rdi"))
        regs = int(frame.read_register("rsi"))
        memory = gdb.selected_inferior()
        address = int.from_bytes(memory.read_memory(fault, 8), "little")
        instruction = int.from_bytes(memory.read_memory(regs + 8 * 16, 8), "little")
        print("segue: nothing serves the fault at %#x, of the instruction at %#x" % (address, instruction))
        print(gdb.execute("x/i %#x" % instruction, to_string=True), end="")
        return True


def static_variable(file, name):
    """A variable of the library's file, or an error that says how to get at it."""
    for symbol in gdb.lookup_static_symbols(name):
        if symbol.symtab.filename.endswith(file):
            return symbol.value()
    raise gdb.GdbError("segue: the library's debug information is not there: install libsegue0-dbgsym, or a build "
                       "that is not stripped")


def enum_name(value):
    name = str(value)
    return name.lower().replace("segue_", "").replace("tactic_", "")


class Segue(gdb.Command):
    """What gdb knows of Segue in this process: segue regions, segue sites, segue faults served|shown."""

    def __init__(self):
        super().__init__("segue", gdb.COMMAND_DATA, prefix=True)


class Regions(gdb.Command):
    """Lists the regions, lowest address first: range, window, policy, flags."""

    def __init__(self):
        super().__init__("segue regions", gdb.COMMAND_DATA)

    def invoke(self, _argument, _from_tty):
        table = static_variable("signals/regions/region.c", "table")
        node_type = table["root"].type
        region_type = node_type.fields()[[field.name for field in node_type.fields()].index("regions")].type.target()
        found = {}
        self.collect(int(table["root"].address), node_type, found)
        for address in sorted(found):
            region = gdb.Value(found[address]).cast(region_type.pointer()).dereference()
            self.show(region)
        print("%d region%s" % (len(found), "" if len(found) == 1 else "s"))

    def collect(self, node, node_type, found):
        """By the slots alone: a node has 512 of them, first."""
        memory = gdb.selected_inferior().read_memory(node, 512 * 8).tobytes()
        for index in range(512):
            word = int.from_bytes(memory[8 * index:8 * index + 8], "little")
            if word & 1:
                self.collect(word & ~1, node_type, found)
            elif word > 2:
                base = int.from_bytes(gdb.selected_inferior().read_memory(word, 8), "little")
                found[base] = word

    def show(self, region):
        base, size = int(region["base"]), int(region["size"])
        kind = int(region["kind"])
        policy = region["policy"]
        print("%#018x-%#018x  %-7s  %s%s" % (
            base, base + size, KINDS.get(kind, str(kind)),
            "policy " + str(policy.format_string(symbols=True)) if int(policy) else "no policy",
            "  flags %#x" % int(region["flags"]) if int(region["flags"]) else ""))


class Sites(gdb.Command):
    """Lists the hot sites: address, state, tactic, faults that were counted there."""

    def __init__(self):
        super().__init__("segue sites", gdb.COMMAND_DATA)

    def invoke(self, _argument, _from_tty):
        sites = static_variable("patch/hot/sites.c", "sites")
        count = int(static_variable("patch/hot/sites.c", "claimed")) if int(sites) else 0
        states = gdb.lookup_type("enum hot_state")
        tactics = gdb.lookup_type("enum segue_tactic")
        shown = 0
        for index in range(count):
            site = sites[index]
            address = int(site["address"])
            if not address:
                continue
            shown += 1
            state = enum_name(site["state"].cast(states)).replace("hot_", "")
            where = gdb.execute("info symbol %#x" % address, to_string=True).split(" of ")[0].split(" in section")[0]
            refusal = site["refusal"]
            print("%#x  %-9s %-4s %8d faults  %s%s" % (
                address, state, enum_name(site["tactic"].cast(tactics)), int(site["faults"]),
                where.strip(), "  " + refusal.string() if int(refusal) else ""))
        print("%d site%s" % (shown, "" if shown == 1 else "s"))


class Faults(gdb.Command):
    """segue faults served: those that the library serves pass unseen. segue faults shown: gdb stops at each."""

    def __init__(self):
        super().__init__("segue faults", gdb.COMMAND_RUNNING)

    def complete(self, _text, word):
        return [choice for choice in ("served", "shown") if choice.startswith(word)]

    def invoke(self, argument, _from_tty):
        if argument not in ("served", "shown"):
            raise gdb.GdbError("segue faults served|shown")
        pass_faults(argument == "served")


class InsnPrinter:
    """The bytes, and where they can be called, the mnemonic."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        length = int(self.value["length"])
        bytes_ = " ".join("%02x" % int(self.value["bytes"][i]) for i in range(min(length, 15)))
        return "{%s, %d memory operand%s}" % (
            bytes_ or "empty", int(self.value["memory_count"]), "" if int(self.value["memory_count"]) == 1 else "s")


class AccessPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        direction = {1: "read", 2: "write", 3: "read-write", 4: "fetch"}.get(int(self.value["direction"]), "?")
        return "{%s %d at %#x}" % (direction, int(self.value["size"]), int(self.value["address"]))


class PlanPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        refusal = self.value["refusal"]
        how = "refused: " + refusal.string() if int(refusal) else enum_name(self.value["engine"]).replace("_", " ")
        accesses = [AccessPrinter(self.value["accesses"][i]).to_string()
                    for i in range(min(int(self.value["access_count"]), 64))]
        return "{%s, %s, %s}" % (InsnPrinter(self.value["insn"]).to_string(), how, " ".join(accesses) or "no access")


class RegsPrinter:
    """As gdb's info registers has them."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return "\n".join("%-8s %#x" % (field.name, int(self.value[field]))
                         for field in self.value.type.fields() if field.name != "selectors")


class WindowPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        base = int(self.value["base"])
        return "{%s %#x-%#x}" % (KINDS.get(int(self.value["kind"]), "?"), base, base + int(self.value["size"]))


def printers():
    collection = gdb.printing.RegexpCollectionPrettyPrinter("segue")
    for name, printer in (("insn", InsnPrinter), ("access", AccessPrinter), ("plan", PlanPrinter),
                          ("regs", RegsPrinter), ("window", WindowPrinter)):
        collection.add_printer("segue_" + name, "^segue_%s$" % name, printer)
    return collection


def begin():
    gdb.printing.register_pretty_printer(gdb.current_objfile(), printers(), replace=True)
    Segue()
    Regions()
    Sites()
    Faults()
    if not any(isinstance(breakpoint, Unhandled) for breakpoint in gdb.breakpoints()):
        Installed("segue_install", True)
        Installed("segue_uninstall", False)
        Unhandled("segue_debug_unhandled", internal=True)
    # A process that runs already may have installed it.
    if gdb.selected_inferior().was_attached:
        pass_faults(True)


begin()
