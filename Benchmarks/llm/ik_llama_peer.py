"""ik_llama.cpp, driven through the low-level classes of ik-llama-cpp-python 0.1.5: the fastest CPU engine known.

One round of measurements in a fresh process, with flash attention as its authors advise:

  ik_llama_peer.py MODEL.gguf --threads N [--prompt TEXT] [--prefill 64,512] [--generate 64]

prints one JSON object with the keys of llama_cpp_peer.py. The package is prebuilt with AVX2, and picks no better kernels on a
machine with AVX-512. The start to the first token is taken before loading begins until the first token is chosen; the Python
interpreter and the shared library are up by then, which is in its favour.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time

import numpy as np


def anonymous_bytes() -> int:
  """Memory of this process that no file backs."""
  with open("/proc/self/status") as status:
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))


class IkLlama:
  def __init__(self, path: str, threads: int, context: int = 1024):
    # The library writes what it loads to standard error; errors come back as exceptions.
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
      from ik_llama_cpp import _internals
      self.internals = _internals
      self.model = _internals.IkModel(path)
      self.context = _internals.IkContext(self.model, n_ctx=context, n_threads=threads, flash_attn=True)
    finally:
      os.dup2(saved, 2)
      os.close(saved), os.close(null)
    self.position = 0

  def clear(self):
    self.context.kv_cache_clear()
    self.position = 0

  def decode(self, ids: list[int]) -> np.ndarray:
    """Appends `ids`; the logits after the last one, `[vocabulary]`, valid until the next call."""
    if len(ids) == 1:
      batch, last = self.internals.make_batch_single(ids[0], self.position), 0
    else:
      batch, last = self.internals.make_batch_range(ids, pos_start=self.position), len(ids) - 1
    if self.context.decode(batch) != 0:
      raise SystemExit("llama_decode failed")
    self.internals.C.llama_batch_free(batch)
    self.position += len(ids)
    return np.ctypeslib.as_array(self.context.get_logits(last), shape=(self.model.n_vocab,))


def main():
  a = argparse.ArgumentParser()
  a.add_argument("model"); a.add_argument("--threads", type=int, default=1); a.add_argument("--prompt", default="What is the capital of France?")
  a.add_argument("--prefill", default="64"); a.add_argument("--generate", type=int, default=64)
  o = a.parse_args()
  result: dict = {"prefill_tokens_per_second": {}}
  before = anonymous_bytes()
  begin = time.perf_counter()
  peer = IkLlama(o.model, o.threads)
  prompt = peer.model.tokenize(o.prompt, add_bos=False, special=True)
  token = int(peer.decode(prompt).argmax())
  result["first_token_seconds"] = time.perf_counter() - begin
  result["prompt_token_count"] = len(prompt)
  random = np.random.default_rng(1)
  for count in (int(c) for c in o.prefill.split(",") if c):
    ids = random.integers(3, peer.model.n_vocab, count).tolist()
    peer.clear(); start = time.perf_counter(); peer.decode(ids)
    result["prefill_tokens_per_second"][str(count)] = count / (time.perf_counter() - start)
  if o.generate:
    peer.clear(); start = time.perf_counter()
    for _ in range(o.generate):
      token = int(peer.decode([token]).argmax())
    seconds = time.perf_counter() - start
    result["decode_tokens_per_second"] = o.generate / seconds if math.isfinite(seconds) and seconds > 0 else 0
  result["added_anonymous_bytes"] = anonymous_bytes() - before
  print(json.dumps(result))


if __name__ == "__main__":
  main()
