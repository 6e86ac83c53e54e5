"""Runs the `bindery` command over reference results and judges them. Plain Python, no packages.

  python3 Benchmarks/llm/check_reference.py tiny                     models/tiny-stories-1m against Tests/Fixtures/tiny
  python3 Benchmarks/llm/check_reference.py smollm2 [--shared DIR]   SmolLM2 against DIR/reference (default ../shared), else the fixtures
  python3 Benchmarks/llm/check_reference.py MODEL --greedy FILE [--tokenizer FILE] [--perplexity FILE TOKENS VALUE]

Options: --bindery PATH, --kernels native,wasm, --weights map,read,copy, --threads 1, --only ID,ID, --tokens 64, --skip perplexity,...
Rules: the prompt's ids are equal; each of the ten best logits after the prompt is within 0.7 of the reference; the first greedy
token that differs stands where the reference's two best logits are closer than 0.4; perplexity is within 0.5 % of the reference.
The last line is `N passed, N failed`; the exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FIXTURES = os.path.join(ROOT, "Tests", "Fixtures")
LOGIT_DIFFERENCE_MAX, MARGIN_MAX, PERPLEXITY_DIFFERENCE_MAX = 0.7, 0.4, 0.005


class Failure(Exception):
  pass


class Report:
  def __init__(self): self.passed = self.failed = 0

  def case(self, name: str, body):
    try:
      detail = body()
      self.passed += 1
      print(f"pass  {name}: {detail}", flush=True)
    except Failure as failure:
      self.failed += 1
      print(f"FAIL  {name}: {failure}", flush=True)


def bindery(o, arguments: list[str], timeout: float = 1800) -> dict:
  command = [o.bindery] + arguments
  try:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
  except subprocess.TimeoutExpired:
    raise Failure(f"no answer after {timeout:.0f} s: {' '.join(command)[:300]}")
  error = done.stderr.decode(errors="replace").strip()[-600:]
  if done.returncode != 0:
    raise Failure(f"exit status {done.returncode}: {error or '(nothing on standard error)'}")
  try:
    return json.loads(done.stdout.decode())
  except (UnicodeDecodeError, json.JSONDecodeError) as problem:
    raise Failure(f"standard output is not one JSON object in UTF-8 ({problem}): {done.stdout[:200]!r}")


def key(result: dict, name: str):
  if name not in result: raise Failure(f"the JSON object has no key {name!r}, only {sorted(result)}")
  return result[name]


def check_greedy(o, case: dict, options: list[str]) -> str:
  count = min(o.tokens, len(case["greedy_token_ids"]))
  with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", newline="") as file:
    file.write(case["prompt"]); file.flush()
    result = bindery(o, ["run", o.model, "--prompt-file", file.name, "--max-tokens", str(count), "--temperature", "0", "--top-logprobs", "10", "--json", *options])
  if key(result, "prompt_token_ids") != case["prompt_token_ids"]:
    found, wanted = result["prompt_token_ids"], case["prompt_token_ids"]
    at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
    raise Failure(f"prompt ids differ at {at}: {found[at:at + 5]} instead of {wanted[at:at + 5]} ({len(found)} and {len(wanted)} ids)")
  top = key(result, "top_logprobs")
  if not top: raise Failure("top_logprobs is empty")
  found = {entry["id"]: entry["logit"] for entry in top[0]}
  if len(found) < 10: raise Failure(f"top_logprobs[0] has {len(found)} entries, expected 10")
  lowest, worst = min(found.values()), 0.0
  for token, logit in zip(case["last_prompt_top10"]["ids"], case["last_prompt_top10"]["logits"]):
    # A reference token outside our ten lies at or below our tenth, which bounds how close it can be.
    difference = abs(found[token] - logit) if token in found else max(0.0, logit - lowest)
    worst = max(worst, difference)
    if difference > LOGIT_DIFFERENCE_MAX:
      raise Failure(f"logit of {token} is {found.get(token, f'below {lowest:.3f}')} instead of {logit:.3f}")
  ours, theirs, margins = key(result, "token_ids"), case["greedy_token_ids"], case["greedy_top1_minus_top2"]
  for i in range(count):
    if i < len(ours) and ours[i] == theirs[i]: continue
    if i >= len(ours): raise Failure(f"stopped after {len(ours)} tokens ({result.get('finish_reason')}), expected {count}")
    if margins[i] < MARGIN_MAX: return f"worst logit difference {worst:.3f}; token {i} differs at margin {margins[i]:.3f}"
    raise Failure(f"token {i} is {ours[i]} instead of {theirs[i]}, where the margin is {margins[i]:.3f} (worst logit difference {worst:.3f})")
  if len(ours) > count: raise Failure(f"{len(ours)} tokens although --max-tokens is {count}")
  return f"worst logit difference {worst:.3f}; all {count} tokens equal"


def check_tokenizer(o, cases: list[dict], special: bool) -> str:
  name = next(n for n in (("ids_bos_special", "ids") if special else ("ids_plain", "ids_no_special")) if n in cases[0])
  with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
    json.dump([case["text"] for case in cases], file); file.flush()
    result = bindery(o, ["tokenize", o.model, "--input-file", file.name, "--json"] + ([] if special else ["--no-special"]))
  ids = key(result, "ids")
  wrong = [(case["text"], found, case[name]) for case, found in zip(cases, ids) if found != case[name]]
  if len(ids) != len(cases): raise Failure(f"{len(ids)} lists for {len(cases)} strings")
  if wrong: raise Failure(f"{len(wrong)} of {len(cases)} strings differ; first: {wrong[0][0]!r} gives {wrong[0][1]} instead of {wrong[0][2]}")
  return f"{len(cases)} strings equal"


def check_perplexity(o, path: str, tokens: int, wanted: float, options: list[str]) -> str:
  result = bindery(o, ["perplexity", o.model, path, "--max-tokens", str(tokens), "--json", *options])
  found = key(result, "perplexity")
  difference = found / wanted - 1
  if abs(difference) > PERPLEXITY_DIFFERENCE_MAX: raise Failure(f"{found:.4f} instead of {wanted:.4f} ({difference:+.2%}), {result.get('token_count')} tokens")
  return f"{found:.4f}, reference {wanted:.4f} ({difference:+.3%})"


def sets(o) -> list:
  """Fills in the files of a named set; returns the perplexity checks as (path, tokens, value)."""
  if o.model == "tiny":
    folder = os.path.join(FIXTURES, "tiny")
    reference = json.load(open(os.path.join(folder, "reference.json"), encoding="utf-8"))
    o.model = os.path.join(ROOT, "models", "tiny-stories-1m")
    o.greedy = o.greedy or [os.path.join(folder, "greedy_tiny.json")]
    o.tokenizer = o.tokenizer or os.path.join(folder, "tokenizer_tiny.json")
    return [(os.path.join(folder, "perplexity_text.txt"), reference["perplexity"]["token_count"], reference["perplexity"]["perplexity"])]
  if o.model in ("smollm2", "gemma3"):
    name = o.model
    o.model = o.path or os.path.join(ROOT, "models", {"smollm2": "smollm2-135m-instruct", "gemma3": "gemma-3-270m"}[name])
    shared = os.path.join(o.shared, "reference")
    folder = shared if os.path.exists(shared) else os.path.join(FIXTURES, name)
    if not os.path.exists(folder): raise SystemExit(f"no reference results: neither {shared} nor {folder}")
    o.greedy = o.greedy or [os.path.join(folder, f"greedy_{name}.json")]
    o.tokenizer = o.tokenizer or os.path.join(folder, f"tokenizer_{name}.json")
    text = os.path.join(shared, "perplexity_text.txt")
    return [(text, 1500, {"smollm2": 18.761, "gemma3": 15.064}[name])] if os.path.exists(text) else []
  return []


def main():
  a = argparse.ArgumentParser()
  a.add_argument("model", help="tiny, smollm2, gemma3, or a bundle folder or weight file")
  a.add_argument("--path", help="the bundle folder or weight file of a named set"); a.add_argument("--greedy", action="append"); a.add_argument("--tokenizer")
  a.add_argument("--perplexity", nargs=3, metavar=("FILE", "TOKENS", "VALUE")); a.add_argument("--bindery", default=os.path.join(ROOT, ".build", "release", "bindery"))
  a.add_argument("--kernels", default="native"); a.add_argument("--weights", default="map"); a.add_argument("--threads", default="1")
  a.add_argument("--only", default=""); a.add_argument("--skip", default=""); a.add_argument("--tokens", type=int, default=64)
  a.add_argument("--shared", default=os.environ.get("BINDERY_SHARED", os.path.join(os.path.dirname(ROOT), "shared")))
  o = a.parse_args()
  if not os.access(o.bindery, os.X_OK): raise SystemExit(f"{o.bindery} is missing: swift build -c release --product bindery")
  perplexities = sets(o)
  if o.path: o.model = o.path
  if o.perplexity: perplexities = [(o.perplexity[0], int(o.perplexity[1]), float(o.perplexity[2]))]
  skip, only, report = set(o.skip.split(",")), set(filter(None, o.only.split(","))), Report()
  load = lambda path: json.load(open(path, encoding="utf-8"))
  if o.tokenizer and "tokenizer" not in skip:
    cases = load(o.tokenizer)
    report.case("tokenizer, special tokens off", lambda: check_tokenizer(o, cases, False))
    report.case("tokenizer, special tokens on", lambda: check_tokenizer(o, cases, True))
  for kernels, weights, threads in itertools.product(o.kernels.split(","), o.weights.split(","), o.threads.split(",")):
    options = ["--kernels", kernels, "--weights", weights, "--threads", threads]
    label = f"{kernels}, {weights}, {threads} thread(s)"
    for path in o.greedy or [] if "greedy" not in skip else []:
      for case in load(path):
        if not only or case["id"] in only: report.case(f"{label}: {case['id']}", lambda: check_greedy(o, case, options))
    for path, tokens, value in perplexities if "perplexity" not in skip else []:
      report.case(f"{label}: perplexity", lambda: check_perplexity(o, path, tokens, value, options))
  print(f"{report.passed} passed, {report.failed} failed")
  sys.exit(1 if report.failed or not report.passed else 0)


if __name__ == "__main__":
  main()
