"""llama.cpp, driven through the low-level calls of llama-cpp-python 0.3.36: the peer and the oracle.

As a module: `LlamaCpp` for the fixture and reference scripts. As a program, one round of measurements in a fresh process:

  llama_cpp_peer.py MODEL.gguf --threads N [--prompt TEXT] [--prefill 64,512] [--generate 64] [--no-extra-buffers]

prints one JSON object. The start to the first token is taken before loading begins until the first token is chosen;
the Python interpreter and the shared library are up by then, which is in llama.cpp's favour.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import llama_cpp as llama


@llama.llama_log_callback
def _quiet(level, text, user_data):
  pass


class LlamaCpp:
  def __init__(self, path: str, threads: int = 1, context: int = 1024, kv: str = "f16", flash_attention: bool | None = None, extra_buffers: bool = True):
    llama.llama_log_set(_quiet, ctypes.c_void_p(0))
    llama.llama_backend_init()
    model_parameters = llama.llama_model_default_params()
    model_parameters.n_gpu_layers = 0
    model_parameters.use_extra_bufts = extra_buffers
    self.model = llama.llama_model_load_from_file(os.fsencode(path), model_parameters)
    if not self.model:
      raise SystemExit(f"llama.cpp could not load {path}")
    parameters = llama.llama_context_default_params()
    parameters.n_ctx, parameters.n_batch, parameters.n_ubatch = context, max(512, context), 512
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.type_k = parameters.type_v = {"f32": 0, "f16": 1}[kv]
    if flash_attention is not None:
      parameters.flash_attn_type = int(flash_attention)
    self.context = llama.llama_init_from_model(self.model, parameters)
    self.vocab = llama.llama_model_get_vocab(self.model)
    self.vocabulary_size = llama.llama_vocab_n_tokens(self.vocab)
    self.memory = llama.llama_get_memory(self.context)

  def clear(self):
    llama.llama_memory_clear(self.memory, True)

  def tokenize(self, text: str, special: bool) -> list[int]:
    """With `special`, BOS is added where the model asks and special tokens in the text are recognised."""
    data = text.encode()
    out = (llama.llama_token * (len(data) + 8))()
    count = llama.llama_tokenize(self.vocab, data, len(data), out, len(out), special, special)
    assert count >= 0
    return list(out[:count])

  def detokenize(self, ids: list[int], special: bool = True) -> bytes:
    buffer = ctypes.create_string_buffer(64 + 32 * len(ids))
    array = (llama.llama_token * max(1, len(ids)))(*ids)
    count = llama.llama_detokenize(self.vocab, array, len(ids), buffer, len(buffer), False, special)
    assert count >= 0
    return buffer.raw[:count]

  def is_end(self, token: int) -> bool:
    return llama.llama_vocab_is_eog(self.vocab, token)

  def decode(self, ids: list[int]) -> np.ndarray:
    """Appends `ids` to the context; the logits after the last one, `[vocabulary]`, valid until the next call."""
    array = (llama.llama_token * len(ids))(*ids)
    if llama.llama_decode(self.context, llama.llama_batch_get_one(array, len(ids))) != 0:
      raise SystemExit("llama_decode failed")
    return np.ctypeslib.as_array(llama.llama_get_logits_ith(self.context, -1), shape=(self.vocabulary_size,))

  def negative_log_likelihoods(self, ids: list[int]) -> list[float]:
    """Of `ids[1...]`, each from all before it, in one context."""
    self.clear()
    batch = llama.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
      batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
    assert llama.llama_decode(self.context, batch) == 0
    out = []
    for i, target in enumerate(ids[1:]):
      logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(self.context, i), shape=(self.vocabulary_size,)).astype(np.float64)
      top = logits.max()
      out.append(float(top + math.log(np.exp(logits - top).sum()) - logits[target]))
    llama.llama_batch_free(batch)
    return out


def anonymous_bytes() -> int:
  """Memory of this process that no file backs."""
  with open("/proc/self/status") as status:
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))


def extra_buffers_work(path: str) -> bool:
  """llama.cpp's AMX buffers end the process on machines that show AMX but do not allow it: try in a process of its own."""
  code = f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); import llama_cpp_peer as p; m = p.LlamaCpp({path!r}, 1, 512); m.decode([1] * 64); m.decode([1])"
  return subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def main():
  a = argparse.ArgumentParser()
  a.add_argument("model"); a.add_argument("--threads", type=int, default=1); a.add_argument("--prompt", default="What is the capital of France?")
  a.add_argument("--prefill", default="64"); a.add_argument("--generate", type=int, default=64); a.add_argument("--no-extra-buffers", action="store_true")
  a.add_argument("--repetitions", type=int, default=1)
  o = a.parse_args()
  result: dict = {"prefill_tokens_per_second": {}}
  before = anonymous_bytes()
  begin = time.perf_counter()
  peer = LlamaCpp(o.model, o.threads, extra_buffers=not o.no_extra_buffers)
  prompt = peer.tokenize(o.prompt, special=True)
  token = int(peer.decode(prompt).argmax())
  result["first_token_seconds"] = time.perf_counter() - begin
  result["prompt_token_count"] = len(prompt)
  random = np.random.default_rng(1)
  for count in (int(c) for c in o.prefill.split(",") if c):
    ids, best = random.integers(3, peer.vocabulary_size, count).tolist(), math.inf
    for _ in range(o.repetitions):
      peer.clear(); start = time.perf_counter(); peer.decode(ids); best = min(best, time.perf_counter() - start)
    result["prefill_tokens_per_second"][str(count)] = count / best
  if o.generate:
    best = math.inf
    for _ in range(o.repetitions):
      peer.clear(); start = time.perf_counter()
      for _ in range(o.generate):
        token = int(peer.decode([token]).argmax())
      best = min(best, time.perf_counter() - start)
    result["decode_tokens_per_second"] = o.generate / best
  result["added_anonymous_bytes"] = anonymous_bytes() - before
  print(json.dumps(result))


if __name__ == "__main__":
  main()
