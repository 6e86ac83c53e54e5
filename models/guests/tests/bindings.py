"""Runs guests under another engine (wasmtime), before and without lowering.

A guest names an instruction on another memory as an import of module "memory:NAME" (see memory_imports.h). Here those
imports are given by a helper module in text form that exports one function per import, made of that very instruction,
over memories of its own: an independent reading of what `bindery lower` makes of them. `memory.map_*` and `memory.unmap`,
which no other engine has, become: nothing, and a fill with zeros; so does `memory.discard` of the guest's own memory.
"""
import ctypes
import re
import wasmtime

MEMORIES = ["weights", "cache", "scratch"]
OWN_MEMORY = "memory:0"


def engine():
    config = wasmtime.Config()
    for feature in ("wasm_simd", "wasm_relaxed_simd", "wasm_memory64", "wasm_multi_memory", "wasm_bulk_memory"):
        setattr(config, feature, True)
    config.relaxed_simd_deterministic = True
    config.cranelift_opt_level = "speed"
    return wasmtime.Engine(config)


def signature(instruction):
    """Parameters and results of an instruction on a 64-bit memory. (The engine's Python binding cannot tell of v128.)"""
    if instruction == "memory.size":
        return [], ["i64"]
    if instruction == "memory.grow":
        return ["i64"], ["i64"]
    if instruction.startswith("memory.map"):
        return ["i64", "i64"], ["i64"]
    if instruction == "memory.unmap":
        return ["i64", "i64"], []
    if instruction == "memory.copy":
        return ["i64", "i64", "i64"], []
    kind = instruction.split(".")[0]
    if ".store" in instruction:
        return ["i64", kind], []
    return ["i64", "v128"] if "_lane" in instruction else ["i64"], [kind]


def helper_text(imports):
    lines = ["(module"]
    for name in MEMORIES:
        lines.append(f'  (memory ${name} (export "{name}") i64 0 65536)')
    for module, name in imports:
        memory = module.split(":")[1]
        match = re.fullmatch(r"([a-z0-9_.]+)(?:@(\d+))?(?:#(\d+))?", name)
        instruction, offset, lane = match.group(1), match.group(2) or "0", match.group(3)
        parameters, results = signature(instruction)
        header = f'  (func (export "{module} {name}")' + "".join(f" (param {p})" for p in parameters)
        header += "".join(f" (result {r})" for r in results)
        gets = " ".join(f"(local.get {i})" for i in range(len(parameters)))
        if instruction.startswith("memory.map"):
            body = "(local.get 0)"
        elif instruction == "memory.unmap":
            body = f"(memory.fill ${memory} (local.get 0) (i32.const 0) (local.get 1))"
        elif instruction in ("memory.size", "memory.grow", "memory.fill"):
            body = f"({instruction} ${memory} {gets})"
        elif instruction == "memory.copy":
            body = f"(memory.copy ${memory} ${memory} {gets})"
        else:
            body = f"({instruction} ${memory} offset={offset} align=1 {lane or ''} {gets})"
        lines.append(f"{header} {body})")
    lines.append(")")
    return "\n".join(lines)


class Guests:
    """One store with the helper's memories, and the instances linked so far."""

    def __init__(self, log=print):
        self.engine = engine()
        self.store = wasmtime.Store(self.engine)
        self.log = log
        self.memories = None

    def load(self, *paths):
        """Instantiates the modules, `kernels` first: its exports are the imports of module "tensor" of the others."""
        modules = [wasmtime.Module.from_file(self.engine, path) for path in paths]
        needed = set()
        for module in modules:
            for i in module.imports:
                if i.module.startswith("memory:") and i.module != OWN_MEMORY:
                    needed.add((i.module, i.name))
        text = helper_text(sorted(needed))
        helper = wasmtime.Instance(self.store, wasmtime.Module(self.engine, text), [])
        exports = helper.exports(self.store)
        self.memories = {name: exports[name] for name in MEMORIES}
        instances = []
        tensor = None
        for module in modules:
            arguments = []
            for i in module.imports:
                if (i.module, i.name) == (OWN_MEMORY, "memory.discard"):
                    arguments.append(wasmtime.Func(self.store, i.type, self._discard, access_caller=True))
                elif i.module.startswith("memory:"):
                    arguments.append(exports[f"{i.module} {i.name}"])
                elif i.module == "tensor":
                    arguments.append(tensor[i.name])
                elif (i.module, i.name) == ("bindery", "log"):
                    arguments.append(wasmtime.Func(self.store, i.type, self._log, access_caller=True))
                elif i.module == "bindery":
                    arguments.append(self.memories[i.name])
                else:
                    raise ValueError(f"unknown import {i.module}.{i.name}")
            instance = wasmtime.Instance(self.store, module, arguments)
            instances.append(instance.exports(self.store))
            tensor = tensor or instances[0]
        return instances

    def _log(self, caller, address, byte_count):
        self.log(bytes(caller["memory"].read(caller, address, address + byte_count)).decode())

    def _discard(self, caller, address, byte_count):
        assert address % 65536 == 0 and byte_count % 65536 == 0
        caller["memory"].write(caller, bytes(byte_count), address)

    def reserve(self, name, byte_count):
        memory = self.memories[name]
        pages = (byte_count + 65535) // 65536
        if memory.size(self.store) < pages:
            memory.grow(self.store, pages - memory.size(self.store))

    def write(self, name, address, data):
        data = bytes(data)
        self.reserve(name, address + len(data))
        memory = self.memories[name]
        assert address + len(data) <= memory.data_len(self.store)
        ctypes.memmove(ctypes.addressof(memory.data_ptr(self.store).contents) + address, data, len(data))

    def read(self, name, address, byte_count):
        memory = self.memories[name]
        assert address + byte_count <= memory.data_len(self.store)
        return ctypes.string_at(ctypes.addressof(memory.data_ptr(self.store).contents) + address, byte_count)
