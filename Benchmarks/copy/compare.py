"""What it costs to get a file to a guest, in Bindery and in other engines, in turns.

  .build/peers/bin/python Benchmarks/copy/compare.py [--size 512] [--rounds 5] [--bindery FILE] [--directory FOLDER] [--json FILE]

- bind: Bindery maps the file into a memory of the guest (`bindery bench copy`).
- fd_read: the guest is a WASI command (reader.c here) that reads the file into its memory, 64 KiB a call; the same module in
  every engine. Bindery runs it by `bindery exec`, WasmKit by `wasmkit run`, Wasmtime (a compiler) in Python.
- host copy: the host reads the file into a buffer and writes that into the guest's memory, as `load` of wasi-nn does.

Every figure comes from a process of its own. "ready" counts from before the file is opened until its bytes are in the guest's
memory; "pass" is the guest's first pass over them (compiled in Wasmtime, interpreted elsewhere; Bindery's bench copy uses SIMD,
reader.c does not, because WasmKit has none). "anonymous" is memory that no file backs, above that of the same process with a
file of 64 KiB. The file is in the page cache. What is not installed is named and left out.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
CHUNK = 1 << 16


def build(folder):
    if not shutil.which("clang"):
        sys.exit("no clang on the PATH: the guest is compiled with the one of the Swift toolchain")
    module = os.path.join(folder, "reader.wasm")
    subprocess.run(
        ["clang", "--target=wasm32-unknown-unknown", "-std=c17", "-O2", "-ffreestanding", "-nostdlib", "-Wall", "-Werror",
         "--no-wasm-opt", "-Wl,--no-entry", "-Wl,--export-memory", "-Wl,--strip-all", "-Wl,--stack-first",
         "-Wl,-z,stack-size=65536", "-o", module, os.path.join(HERE, "reader.c")],
        check=True)
    return module


def child(kind, module, path):
    """Wasmtime in this process; prints what reader.c prints, and waits."""
    import time
    import wasmtime

    store = wasmtime.Store(wasmtime.Engine())
    linker = wasmtime.Linker(store.engine)
    linker.define_wasi()
    wasi = wasmtime.WasiConfig()
    wasi.inherit_stdout()
    wasi.inherit_stdin()
    wasi.argv = ["reader", os.path.basename(path), str(CHUNK)]
    wasi.preopen_dir(os.path.dirname(path), ".")
    store.set_wasi(wasi)
    exports = linker.instantiate(store, wasmtime.Module.from_file(store.engine, module)).exports(store)
    if kind == "fd_read":
        exports["_start"](store)
        return
    start = time.perf_counter_ns()
    with open(path, "rb", buffering=0) as file:
        data = file.read()
    address = exports["reserve"](store, len(data)) & 0xFFFFFFFF
    exports["memory"].write(store, data, address)
    ready = time.perf_counter_ns()
    size = len(data)
    del data
    total = exports["pass"](store, address, size) & (1 << 64) - 1
    end = time.perf_counter_ns()
    print(ready - start, end - ready, total, flush=True)
    sys.stdin.buffer.read(1)


def anonymous_bytes(process):
    with open(f"/proc/{process}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))


def run_reader(command):
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    words = process.stdout.readline().split()
    if len(words) != 3:
        error = process.communicate("\n")[1].strip() or " ".join(words)
        raise RuntimeError(f"{command[0]}: {error.splitlines()[-1] if error else 'no answer'}")
    anonymous = anonymous_bytes(process.pid)
    process.communicate("\n")
    return {"ready": int(words[0]) * 1e-9, "pass": int(words[1]) * 1e-9, "anonymous": anonymous, "sum": int(words[2])}


def run_bindery(tool, loading, path):
    """One process of `bindery bench copy`."""
    request = json.dumps({"loading": loading, "path": path, "marks": [1], "waits": False})
    run = subprocess.run([tool, "bench", "copy-worker", request], capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(f"bindery bench copy-worker: {run.stderr.strip().splitlines()[-1]}")
    mark = json.loads(run.stdout)["marks"][0]
    return {"ready": mark["readySeconds"], "pass": mark["firstPassSeconds"], "anonymous": mark["added"]["rssAnonBytes"]}


def contenders(bindery, module):
    """(engine, way, what measures it for a path, whether its anonymous memory is above that of the process before)."""
    own = [sys.executable, os.path.abspath(__file__), "--child"]

    def reader(command):
        return lambda path: run_reader(command(os.path.dirname(path), os.path.basename(path), path))

    found = [
        ("Bindery", "bind", lambda path: run_bindery(bindery, "map", path), True),
        ("Bindery", "fd_read", reader(lambda folder, name, path: [bindery, "exec", "--dir", folder, module, "--", name, str(CHUNK)]), False),
        ("Bindery", "host copy", lambda path: run_bindery(bindery, "copy", path), True),
    ]
    if shutil.which("wasmkit"):
        found.append(("WasmKit", "fd_read", reader(lambda folder, name, path: ["wasmkit", "run", "--dir", folder, module, name, str(CHUNK)]), False))
    else:
        print("left out: WasmKit (no wasmkit on the PATH; Swift toolchains have it)", file=sys.stderr)
    if importlib.util.find_spec("wasmtime"):
        for way in ("fd_read", "host copy"):
            found.append(("Wasmtime", way, reader(lambda folder, name, path, way=way: own + [way, module, path]), False))
    else:
        print("left out: Wasmtime (its Python package is not installed: make bench-peers)", file=sys.stderr)
    return found


def measure(entries, path, small, rounds):
    samples = {entry[:2]: [] for entry in entries}
    base = {engine_way: 0 for engine_way in samples}
    for engine, way, run, is_above_start in entries:
        if not is_above_start:
            base[engine, way] = run(small)["anonymous"]
    sums = set()
    for turn in range(rounds):
        print(f"round {turn + 1} of {rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
        for engine, way, run, _ in entries if turn % 2 == 0 else entries[::-1]:
            sample = run(path)
            sample["anonymous"] = max(sample["anonymous"] - base[engine, way], 0)
            sums.add(sample.pop("sum", None))
            samples[engine, way].append(sample)
    if len(sums - {None}) > 1:
        sys.exit(f"engines that ran the same program on the same file found different sums: {sorted(sums - {None})}")
    return {key: {name: statistics.median(s[name] for s in values) for name in values[0]} for key, values in samples.items()}


def seconds(value):
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bindery", default=os.path.join(ROOT, ".build", "release", "bindery"))
    parser.add_argument("--size", type=int, default=512, help="of the file, in MB (at most 3000)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", help="where to make the file")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or not 1 <= arguments.size <= 3000:
        parser.error("--rounds must be at least 1, --size between 1 and 3000")
    if not os.access(arguments.bindery, os.X_OK):
        sys.exit(f"no {arguments.bindery}: build it with `make build`, or name it with --bindery")
    if arguments.directory and not os.access(arguments.directory, os.W_OK):
        sys.exit(f"cannot write to the folder '{arguments.directory}': choose another with --directory")
    arguments.bindery = os.path.abspath(arguments.bindery)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as folder:
        path, small = os.path.join(folder, "weights"), os.path.join(folder, "small")
        size = arguments.size * 1_000_000 >> 16 << 16
        block = os.urandom(1 << 20)
        for name, byte_count in ((path, size), (small, CHUNK)):
            with open(name, "wb") as file:
                for at in range(0, byte_count, len(block)):
                    file.write(block[:byte_count - at])
                file.flush()
                os.fsync(file.fileno())
        results = measure(contenders(arguments.bindery, build(folder)), path, small, arguments.rounds)
    bound = results["Bindery", "bind"]["ready"]
    print(f"{size / 1e6:.0f} MB in the page cache, medians of {arguments.rounds} rounds\n")
    print("| engine | way | ready | ready / bind | first pass | both | anonymous memory |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for (engine, way), result in results.items():
        print(f"| {engine} | {way} | {seconds(result['ready'])} | {result['ready'] / bound:.0f} | {seconds(result['pass'])} | {seconds(result['ready'] + result['pass'])} | {result['anonymous'] / 1e6:.3g} MB |")
    if arguments.json:
        with open(arguments.json, "w") as file:
            rows = [{"engine": engine, "way": way, **result} for (engine, way), result in results.items()]
            json.dump({"byte_count": size, "rounds": arguments.rounds, "results": rows}, file, indent=1)


if __name__ == "__main__":
    main()
