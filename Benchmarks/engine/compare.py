"""The kernels of `bindery bench engine` in other engines, in turns: native C, Bindery, Wasmtime, WasmKit.

What is not installed is named and left out. Wasmtime (a compiler; `pip install wasmtime`) runs the committed module in this
process. WasmKit (the interpreter of the Swift toolchain) has no SIMD here: it runs the same source compiled without, one process a
kernel, and a run of no repetitions is taken off its time. All times are processor time.

usage: compare.py [--bindery FILE] [--rounds N] [--tests LIST] [--json FILE]
"""

import argparse
import importlib.metadata
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
KERNELS = os.path.join(ROOT, "Sources", "CEngineKernels")


class Wasmtime:
    """The module in this process. The sums must be those of Bindery's kernels after the same calls."""

    name = "wasmtime"

    def __init__(self):
        import wasmtime

        self.version = importlib.metadata.version("wasmtime")
        self.store = wasmtime.Store(wasmtime.Engine())
        module = wasmtime.Module.from_file(self.store.engine, os.path.join(KERNELS, "engine_kernels.wasm"))
        exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.run = exports["engine_run"]
        exports["engine_prepare"](self.store)

    def nanoseconds(self, kernel, repetitions, units):
        start = time.process_time_ns()
        self.run(self.store, kernel, repetitions)
        return (time.process_time_ns() - start) / (repetitions * units)


class WasmKit:
    """A process for each measurement: start and the making of the data are measured apart, and taken off."""

    name = "wasmkit"

    def __init__(self, folder):
        self.tool = shutil.which("wasmkit")
        if not self.tool:
            raise RuntimeError("no wasmkit on the PATH")
        self.module = os.path.join(folder, "scalar.wasm")
        subprocess.run(["make", "-s", "-C", KERNELS, "scalar", f"SCALAR={self.module}"], check=True, capture_output=True)
        version = subprocess.run([self.tool, "--version"], capture_output=True, text=True)
        self.version = version.stdout.strip() or "of the toolchain"
        self.seconds(0, 1)

    @staticmethod
    def children_seconds():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def seconds(self, kernel, repetitions):
        start = self.children_seconds()
        run = subprocess.run(
            [self.tool, "run", self.module, "engine_measure", f"i32:{kernel}", f"i32:{repetitions}"],
            capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError("wasmkit: " + (run.stderr or run.stdout).strip().splitlines()[0])
        return self.children_seconds() - start

    def nanoseconds(self, kernel, repetitions, units):
        nothing = self.seconds(kernel, 0)
        # Longer, because the start of a process varies by milliseconds.
        repetitions *= 4
        return (self.seconds(kernel, repetitions) - nothing) * 1e9 / (repetitions * units)


def measure_bindery(tool):
    run = subprocess.run([tool, "bench", "engine", "--rounds", "1", "--json"], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{tool} bench engine failed: {run.stderr.strip().splitlines()[-1]}")
    return json.loads(run.stdout)["results"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bindery", default=os.path.join(ROOT, ".build", "release", "bindery"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tests", help="only these, with commas between")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    if not os.access(arguments.bindery, os.X_OK):
        sys.exit(f"no {arguments.bindery}: build it with `swift build -c release --omit-frame-pointers`, or name it with --bindery")

    with tempfile.TemporaryDirectory() as folder:
        peers = []
        for make in (Wasmtime, lambda: WasmKit(folder)):
            try:
                peers.append(make())
                print(f"{peers[-1].name} {peers[-1].version}", file=sys.stderr)
            except ImportError:
                print("left out: wasmtime (its Python package is not installed: pip install wasmtime)", file=sys.stderr)
            except Exception as error:
                print(f"left out: {error}", file=sys.stderr)

        times = {}
        for turn in range(arguments.rounds):
            print(f"round {turn + 1} of {arguments.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            tests = measure_bindery(arguments.bindery)
            for kernel, test in enumerate(tests):
                name = test["test"]
                if arguments.tests and name not in arguments.tests.split(","):
                    continue
                found = times.setdefault(name, {"unit": test["unit"]})
                found.setdefault("native", []).append(test["native_nanoseconds"])
                found.setdefault("bindery", []).append(test["wasm_nanoseconds"])
                for peer in peers:
                    value = peer.nanoseconds(kernel, test["repetitions"], test["units_per_repetition"])
                    found.setdefault(peer.name, []).append(value)

    engines = ["bindery"] + [peer.name for peer in peers]
    print("| test | unit | native, ns | " + " | ".join(f"{engine}, ns | ratio" for engine in engines) + " |")
    print("|---|---|--:" + "|--:|--:" * len(engines) + "|")
    results = []
    for name, found in times.items():
        native = statistics.median(found["native"])
        result = {"test": name, "unit": found["unit"], "rounds": arguments.rounds, "native_nanoseconds": native}
        cells = []
        for engine in engines:
            value = statistics.median(found[engine])
            result[f"{engine}_nanoseconds"] = value
            result[f"{engine}_ratio"] = value / native
            cells.append(f"{value:.3g} | {value / native:.2f}")
        results.append(result)
        print(f"| {name} | {found['unit']} | {native:.3g} | " + " | ".join(cells) + " |")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"results": results, "versions": {peer.name: peer.version for peer in peers}}, file, indent=1)


if __name__ == "__main__":
    main()
