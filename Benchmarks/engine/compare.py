"""The kernels of `bindery bench engine` in other engines, in turns: native C, Bindery, Wasmtime, wasm3, WasmKit.

What is not installed is named and left out. Wasmtime (a compiler; `pip install wasmtime`) runs the committed module in this
process. wasm3 (an interpreter; `pip install pywasm3`) and WasmKit (the interpreter of the Swift toolchain) have no SIMD: they run
the same source compiled without, and so does Bindery once more ("scalar"). Bindery scalar and WasmKit are a process for each
measurement, and a run of no repetitions is taken off the time. All times are processor time.

usage: compare.py [--bindery FILE] [--rounds N] [--tests LIST] [--json FILE]
"""

import argparse
import importlib.metadata
import json
import os
import re
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
    """The module in this process."""

    name = "wasmtime"

    def __init__(self):
        import wasmtime

        self.version = importlib.metadata.version("wasmtime")
        self.store = wasmtime.Store(wasmtime.Engine())
        module = wasmtime.Module.from_file(self.store.engine, os.path.join(KERNELS, "engine_kernels.wasm"))
        exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.run = exports["engine_run"]
        exports["engine_prepare"](self.store)
        self.measure = exports["engine_measure"]

    def sum(self, kernel):
        return self.measure(self.store, kernel, 2)

    def nanoseconds(self, kernel, repetitions, units):
        start = time.process_time_ns()
        self.run(self.store, kernel, repetitions)
        return (time.process_time_ns() - start) / (repetitions * units)


def scalar_module(folder):
    module = os.path.join(folder, "scalar.wasm")
    if not os.path.exists(module):
        subprocess.run(["make", "-s", "-C", KERNELS, "scalar", f"SCALAR={module}"], check=True, capture_output=True)
    return module


class Wasm3:
    """The module without SIMD in this process. Its calls are not interrupted by Python."""

    name = "wasm3"

    def __init__(self, folder):
        import wasm3

        self.version = wasm3.M3_VERSION
        environment = wasm3.Environment()
        self.runtime = environment.new_runtime(1 << 16)
        with open(scalar_module(folder), "rb") as file:
            self.runtime.load(environment.parse_module(file.read()))
        self.runtime.find_function("engine_prepare")()
        self.run = self.runtime.find_function("engine_run")
        self.measure = self.runtime.find_function("engine_measure")

    def sum(self, kernel):
        return self.measure(kernel, 2)

    def nanoseconds(self, kernel, repetitions, units):
        start = time.process_time_ns()
        self.run(kernel, repetitions)
        return (time.process_time_ns() - start) / (repetitions * units)


class Command:
    """A process for each measurement: start and the making of the data are measured apart, and taken off."""

    def __init__(self, name, version, command):
        self.name, self.version, self.command = name, version, command
        self.seconds(0, 1)

    @staticmethod
    def children_seconds():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def run(self, kernel, repetitions):
        run = subprocess.run(self.command(kernel, repetitions), capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(f"{self.name}: " + (run.stderr or run.stdout).strip().splitlines()[0])
        return run.stdout

    def sum(self, kernel):
        # WasmKit writes [I64(123)] with the type's name, others the number alone.
        return int(re.findall(r"-?[0-9]+", self.run(kernel, 2))[-1])

    def seconds(self, kernel, repetitions):
        start = self.children_seconds()
        self.run(kernel, repetitions)
        return self.children_seconds() - start

    def nanoseconds(self, kernel, repetitions, units):
        nothing = self.seconds(kernel, 0)
        # Longer, because the start of a process varies by milliseconds.
        repetitions *= 4
        return (self.seconds(kernel, repetitions) - nothing) * 1e9 / (repetitions * units)


def wasmkit(folder):
    tool = shutil.which("wasmkit")
    if not tool:
        raise RuntimeError("WasmKit (no wasmkit on the PATH; Swift toolchains have it)")
    module = scalar_module(folder)
    version = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout.strip()
    return Command("wasmkit", version or "of the toolchain",
                   lambda kernel, count: [tool, "run", module, "engine_measure", f"i32:{kernel}", f"i32:{count}"])


def bindery_scalar(tool, folder):
    module = scalar_module(folder)
    return Command("bindery scalar", "",
                   lambda kernel, count: [tool, "exec", "--invoke", "engine_measure", module, str(kernel), str(count)])


def measure_bindery(tool):
    run = subprocess.run([tool, "bench", "engine", "--rounds", "1", "--json"], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{tool} bench engine failed: {run.stderr.strip().splitlines()[-1]}")
    return json.loads(run.stdout)["results"]


def check_sums(peers, count):
    """Every engine finds the same in two repetitions of each kernel on fresh data. This also warms the peers up."""
    for kernel in range(count):
        sums = {peer.name: peer.sum(kernel) & (1 << 64) - 1 for peer in peers}
        if len(set(sums.values())) > 1:
            sys.exit(f"kernel {kernel}: the engines found different sums: {sums}")


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
        for make in (lambda: bindery_scalar(arguments.bindery, folder), Wasmtime, lambda: Wasm3(folder), lambda: wasmkit(folder)):
            try:
                peers.append(make())
                print(f"{peers[-1].name} {peers[-1].version}", file=sys.stderr)
            except ImportError as error:
                print(f"left out: {error.name} (its Python package is not installed: make bench-peers)", file=sys.stderr)
            except Exception as error:
                print(f"left out: {error}", file=sys.stderr)

        times = {}
        for turn in range(arguments.rounds):
            print(f"round {turn + 1} of {arguments.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            tests = measure_bindery(arguments.bindery)
            if turn == 0:
                unknown = set(arguments.tests.split(",") if arguments.tests else []) - {test["test"] for test in tests}
                if unknown:
                    sys.exit(f"no test {', '.join(sorted(unknown))}: expected " + ", ".join(test["test"] for test in tests))
                check_sums(peers, len(tests))
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
    versions = {peer.name: peer.version for peer in peers if peer.version}
    print("Time as a multiple of native code's, medians of", arguments.rounds, "rounds;",
          ", ".join(f"{name} {version}" for name, version in versions.items()) + ".\n")
    print("| test | unit | native, ns | " + " | ".join(engines) + " |")
    print("|---|---|--:" + "|--:" * len(engines) + "|")
    results = []
    for name, found in times.items():
        native = statistics.median(found["native"])
        result = {"test": name, "unit": found["unit"], "rounds": arguments.rounds, "native_nanoseconds": native}
        for engine in engines:
            value = statistics.median(found[engine])
            result[f"{engine}_nanoseconds"] = value
            result[f"{engine}_ratio"] = value / native
        results.append(result)
        print(f"| {name} | {found['unit']} | {native:.3g} | " + " | ".join(f"{result[f'{e}_ratio']:.3g}" for e in engines) + " |")
    if results:
        means = [statistics.geometric_mean(r[f"{engine}_ratio"] for r in results) for engine in engines]
        print("| geometric mean | | | " + " | ".join(f"{mean:.3g}" for mean in means) + " |")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"results": results, "versions": versions}, file, indent=1)


if __name__ == "__main__":
    main()
