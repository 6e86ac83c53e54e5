"""Bindery beside llama.cpp and ik_llama.cpp on the same file with the same number of threads, round by round in turn.

  .build/peers/bin/python Benchmarks/llm/compare.py MODEL.gguf [--threads 1,2] [--rounds 5] [--kernels native]
      [--peers llama.cpp,ik_llama.cpp] [--busy] [--bindery .build/release/bindery] [--json results.json]

Every figure of a round comes from a process of its own. The engines take turns, so that a busy neighbour disturbs all of
them; the table gives the median of the rounds and, in brackets, the smallest and the largest. With --busy, a process that
never sleeps is kept on one core meanwhile.
- tg64: tokens a second of decoding 64 tokens from an empty context, greedy.
- pp64, pp512: tokens a second of the prefill of so many tokens in one call.
- start: seconds to the first token. The peers: in a running Python, from before the file is opened until the first token is
  chosen. Bindery: from the start of the process until the first byte on standard output, so it counts more.
- memory: anonymous bytes (weights are file pages in all) after a prompt of 512 tokens and 64 tokens of answer. The peers: above
  those of Python before the model, with a context of 1024. Bindery: all of the process, and the largest scratch on top.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MEASURES = ["tg64", "pp64", "pp512", "start", "memory"]
UNITS = {"start": "ms", "memory": "MB"}


def run(command: list[str], timeout: float = 600) -> str:
  done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
  if done.returncode != 0:
    raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr.strip()[-2000:]}")
  return done.stdout


PEERS = {"llama.cpp": "llama_cpp_peer.py", "ik_llama.cpp": "ik_llama_peer.py"}
MODULES = {"llama.cpp": "llama_cpp", "ik_llama.cpp": "ik_llama_cpp"}


def peer_round(o, threads: int, peer: str) -> dict[str, float]:
  command = [sys.executable, os.path.join(HERE, PEERS[peer]), o.model, "--threads", str(threads), "--prefill", "64,512", "--generate", "64", "--prompt", o.prompt]
  result = json.loads(run(command + (["--no-extra-buffers"] if peer == "llama.cpp" and not o.extra_buffers else [])))
  return {"tg64": result["decode_tokens_per_second"], "pp64": result["prefill_tokens_per_second"]["64"], "pp512": result["prefill_tokens_per_second"]["512"],
          "start": result["first_token_seconds"], "memory": result["added_anonymous_bytes"]}


def first_byte_seconds(command: list[str]) -> float:
  begin = time.perf_counter()
  process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  first = os.read(process.stdout.fileno(), 1)
  seconds = time.perf_counter() - begin
  error = process.communicate()[1]
  if process.returncode != 0 or not first:
    raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}: {error.decode(errors='replace').strip()[-2000:]}")
  return seconds


def bindery_round(o, threads: int, kernels: str) -> dict[str, float]:
  common = ["--threads", str(threads), "--kernels", kernels]
  prefill = "64,512" if kernels == "native" or o.long else "64"
  result = json.loads(run([o.bindery, "bench", "llm", o.model, *common, "--prefill", prefill, "--decode", "64", "--repetitions", "1", "--json"], 1800))
  figures = {entry["test"]: entry["tokens_per_second"] for entry in result["results"]}
  figures["start"] = first_byte_seconds([o.bindery, "run", o.model, *common, "--prompt", o.prompt, "--max-tokens", "4", "--temperature", "0"])
  if "512" in prefill:
    answer = json.loads(run([o.bindery, "run", o.model, *common, "--prompt", "the" + " the" * 511, "--max-tokens", "64", "--temperature", "0", "--json"], 1800))
    figures["memory"] = answer["memory"]["rss_anon_bytes"] + answer["memory"]["scratch_peak_bytes"]
  return {name: figures[name] for name in MEASURES if name in figures}


def cell(values: list[float], unit: str) -> str:
  scale, digits = {"ms": (1000, 0), "MB": (1e-6, 0)}.get(unit, (1, 1))
  return f"{statistics.median(values) * scale:.{digits}f} ({min(values) * scale:.{digits}f}-{max(values) * scale:.{digits}f})"


def main():
  a = argparse.ArgumentParser()
  a.add_argument("model"); a.add_argument("--threads", default="1,2"); a.add_argument("--rounds", type=int, default=5)
  a.add_argument("--kernels", default="native", help="native, wasm or both, with a comma"); a.add_argument("--json")
  a.add_argument("--bindery", default=os.path.join(ROOT, ".build", "release", "bindery")); a.add_argument("--prompt", default="The largest city of Japan is")
  a.add_argument("--long", action="store_true", help="pp512 for wasm kernels too"); a.add_argument("--peers-only", action="store_true")
  a.add_argument("--peers", help="which peers, with a comma (default: those installed)"); a.add_argument("--busy", action="store_true", help="beside a busy process")
  o = a.parse_args()
  o.model = os.path.abspath(o.model)
  if os.path.isdir(o.model):
    files = [f for f in sorted(os.listdir(o.model)) if f.endswith(".gguf")]
    if len(files) != 1: raise SystemExit(f"{o.model} holds {len(files)} .gguf files, expected one; fetch it first")
    o.model = os.path.join(o.model, files[0])
  if not o.peers_only and not os.access(o.bindery, os.X_OK): raise SystemExit(f"{o.bindery} is missing: swift build -c release --product bindery")
  sys.path.insert(0, HERE)
  installed = [peer for peer, module in MODULES.items() if importlib.util.find_spec(module)]
  peers = installed if o.peers is None else [peer for peer in o.peers.split(",") if peer]
  for peer in PEERS if o.peers is None else []:
    if peer not in installed: print(f"{peer} is not installed here (make bench-peers): the table goes without it", file=sys.stderr)
  if unknown := [peer for peer in peers if peer not in PEERS]: raise SystemExit(f"--peers: {unknown[0]} is none of {', '.join(PEERS)}")
  o.extra_buffers = True
  if "llama.cpp" in peers:
    from llama_cpp_peer import extra_buffers_work
    o.extra_buffers = extra_buffers_work(o.model)
  kinds = [] if o.peers_only else o.kernels.split(",")
  processor = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor()) if os.path.exists("/proc/cpuinfo") else platform.processor()
  report: dict = {"model": os.path.basename(o.model), "processor": processor, "cores": os.cpu_count(), "llama_cpp_extra_buffers": o.extra_buffers, "busy": o.busy, "rounds": o.rounds, "threads": {}}
  # The neighbour ends with this process, however that ends.
  neighbour = subprocess.Popen([sys.executable, "-c", "import os\nwhile os.getppid() == %d:\n  for _ in range(10**6): pass" % os.getpid()]) if o.busy else None
  for threads in (int(t) for t in o.threads.split(",")):
    ours = [f"bindery {kind}" for kind in kinds]
    names = peers + ours
    samples: dict = {name: {measure: [] for measure in MEASURES} for name in names}
    loads = []
    for number in range(o.rounds):
      order = names if number % 2 == 0 else names[::-1]
      for name in order:
        figures = peer_round(o, threads, name) if name in PEERS else bindery_round(o, threads, name.split()[1])
        for measure, value in figures.items(): samples[name][measure].append(value)
      loads.append(os.getloadavg()[0])
      print(f"{threads} thread(s), round {number + 1} of {o.rounds}, load {loads[-1]:.1f}", file=sys.stderr)
    report["threads"][str(threads)] = {"samples": samples, "load": loads}
    print(f"\n{report['model']}, {threads} thread(s), {processor}, median (min-max) of {o.rounds} rounds, load average {min(loads):.1f}-{max(loads):.1f}\n")
    pairs = [(name, peer) for name in ours for peer in peers]
    print("| | " + " | ".join(names) + " | " + "".join(f"{name} / {peer} | " for name, peer in pairs))
    print("|---|" + "---|" * (len(names) + len(pairs)))
    for measure in MEASURES:
      unit = UNITS.get(measure, "tokens/s")
      ratios = []
      for name, peer in pairs:
        # The ratio of each round, then their median: what disturbed one round disturbed both sides of it.
        rounds = [(y / x if measure in UNITS else x / y) for x, y in zip(samples[name][measure], samples[peer][measure])]
        ratios.append(f"{statistics.median(rounds):.2f}x" if rounds else "-")
        report["threads"][str(threads)].setdefault("ratios", {}).setdefault(f"{name} / {peer}", {})[measure] = statistics.median(rounds) if rounds else None
      print(f"| {measure}, {unit} | " + " | ".join([cell(samples[name][measure], unit) if samples[name][measure] else "-" for name in names] + ratios) + " |")
  if neighbour: neighbour.kill()
  if not o.extra_buffers:
    print("\nllama.cpp ran without its extra buffer types (AMX, repacking): with them it ends in a fault on this machine.")
  if o.json:
    with open(o.json, "w") as file: json.dump(report, file, indent=1)


if __name__ == "__main__":
  main()
