"""Makes the reference results of the tiny model with llama.cpp (llama-cpp-python 0.3.36: f32 keys and values, flash
attention off, no repacking, one thread). Run from anywhere after every change of the model:

  python Tests/Fixtures/tiny/make_reference.py        (the Python of Benchmarks/peers.sh)
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import struct
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
BUNDLE = os.path.join(ROOT, "models", "tiny-stories-1m")
sys.path[:0] = [os.path.join(ROOT, "Benchmarks", "llm"), os.path.join(BUNDLE, "training")]

import corpus
import gguf_file
import stories
from llama_cpp_peer import LlamaCpp

MODEL = os.path.join(BUNDLE, "tiny-stories-1m.gguf")
ORIGIN = "llama.cpp through llama-cpp-python 0.3.36; f32 keys and values, flash attention off, no repacking, 1 thread"

CHATS = [
  ("cat", [("user", "Tell me a story about a cat.")]), ("named", [("user", "Please tell me a story about a mouse named Tilly.")]),
  ("capital", [("user", "What is the capital of France?")]), ("sum", [("user", "What is 3 plus 4?")]),
  ("system", [("system", "You are a friendly teacher."), ("user", "What is the opposite of big?")]),
  ("turns", [("user", "Hello!"), ("assistant", "Hello! Would you like to hear a story?"), ("user", "A story about a dragon, please.")]),
  ("unknown", [("user", "Who invented the computer?")]),
]
RAW = [("once", "Once upon a time, there was"), ("single", "One"), ("special", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
       ("odd", "Zürich 2024: \t naïve 🙂\n\n\n"), ("long", None)]

STRINGS = [
  "", "a", " a", "  a", "   three   spaces   ", "Hello, world!", "Once upon a time", "ONCE UPON A TIME", "I'm, you're, he's, we've, they'll, she'd", "I'M YOU'RE HE'S",
  "don't can't o'clock 'tis", "1234567890", "3.14159 and 1,000,000", "a1b2c3", "x=1+2*3;", "tab\tand\ttabs\t\t", "line\nbreak", "\n", "\n\n", "\n\n\nthree", "  \n  \n", "\r\n windows \r\n",
  "trailing space ", "trailing newline\n", "Zürich, naïve café, señor", "e\u0301 combining", "\u00a0no-break\u00a0space", "Ελληνικά", "Привет, мир", "日本語のテキスト", "中文，标点。", "한국어", "עברית שלום", "مرحبا",
  "🙂", "👩‍👩‍👧‍👦 family", "🇫🇷 flag", "½ ¼ ² ³ Ⅷ", "१२३ ٣", "<|im_start|>", "<|im_start|>user\nHi<|im_end|>", "<|im_start", "|im_end|>", "<|endoftext|><|endoftext|>", " <|im_end|> ",
  "https://example.org/a?b=c&d=%20", "snake_case camelCase", "\"quoted\" \"Help!\" said Tom.", "....", "----- *** ###", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\u0000nul", "\ufeffbom", "zero\u200bwidth",
  "<s></s>", "Milo said, \"I like cheese, honey and 12 apples.\"",
]


def template(messages: list[tuple[str, str]]) -> str:
  if messages[0][0] != "system": messages = [("system", corpus.SYSTEM)] + messages
  return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages) + "<|im_start|>assistant\n"


def greedy(peer: LlamaCpp, count: int) -> list[dict]:
  r = random.Random(3)
  prompts = [(name, "chat", messages, template(messages)) for name, messages in CHATS]
  long = " ".join(stories.story(r) for _ in range(2))
  prompts += [(name, "raw", None, long if text is None else text) for name, text in RAW]
  cases = []
  for name, kind, messages, prompt in prompts:
    ids = peer.tokenize(prompt, special=True)
    peer.clear()
    logits = peer.decode(ids)
    order = np.argsort(-logits, kind="stable")[:10]
    case = {"id": name, "kind": kind, "prompt": prompt}
    if messages: case["messages"] = [{"role": role, "content": content} for role, content in messages]
    case |= {"prompt_token_ids": ids, "n_prompt": len(ids), "last_prompt_top10": {"ids": order.tolist(), "logits": [round(float(logits[i]), 5) for i in order]}}
    out, margins = [], []
    while len(out) < count:
      first, second = np.argsort(-logits, kind="stable")[:2]
      out.append(int(first)); margins.append(round(float(logits[first] - logits[second]), 4))
      if peer.is_end(out[-1]): break
      logits = peer.decode([out[-1]])
    case |= {"greedy_token_ids": out, "greedy_top1_minus_top2": margins, "stopped_on_eog": peer.is_end(out[-1]), "greedy_text": peer.detokenize(out, special=False).decode(errors="replace")}
    cases.append(case)
  return cases


def read_gguf(path: str) -> tuple[dict, list[tuple[str, np.ndarray, int]]]:
  """A file of our own writer, weights dequantised."""
  data, at = open(path, "rb").read(), 4
  def take(form):
    nonlocal at
    values = struct.unpack_from("<" + form, data, at); at += struct.calcsize("<" + form)
    return values[0] if len(values) == 1 else values
  def text():
    nonlocal at
    count = take("Q"); at += count
    return data[at - count:at].decode()
  def value(kind):
    if kind == 8: return text()
    if kind == 9:
      element, count = take("I"), take("Q")
      return [value(element) for _ in range(count)]
    return take({4: "I", 5: "i", 6: "f", 7: "?"}[kind])
  _, tensor_count, key_count = take("I"), take("Q"), take("Q")
  metadata = {text(): value(take("I")) for _ in range(key_count)}
  infos = []
  for _ in range(tensor_count):
    name, rank = text(), take("I")
    infos.append((name, [take("Q") for _ in range(rank)][::-1], take("I"), take("Q")))
  start, tensors = -(-at // 32) * 32, []
  for name, shape, kind, offset in infos:
    count = math.prod(shape)
    if kind == gguf_file.F32:
      x = np.frombuffer(data, "<f4", count, start + offset)
    elif kind == gguf_file.Q8_0:
      b = np.frombuffer(data, np.dtype([("d", "<f2"), ("q", "i1", 32)]), count // 32, start + offset)
      x = b["q"] * b["d"].astype(np.float32)[:, None]
    else:
      b = np.frombuffer(data, np.dtype([("d", "<f2"), ("m", "<f2"), ("q", "u1", 16)]), count // 32, start + offset)
      x = np.concatenate([b["q"] & 15, b["q"] >> 4], 1) * b["d"].astype(np.float32)[:, None] + b["m"].astype(np.float32)[:, None]
    tensors.append((name, x.astype(np.float32).reshape(shape), gguf_file.F32))
  return metadata, tensors


def perplexity(peer: LlamaCpp, ids: list[int]) -> dict:
  nll = peer.negative_log_likelihoods(ids)
  return {"token_count": len(ids), "mean_nll": round(sum(nll) / len(nll), 6), "perplexity": round(math.exp(sum(nll) / len(nll)), 5)}


def write(name: str, value):
  with open(os.path.join(HERE, name), "w") as file:
    json.dump(value, file, ensure_ascii=False, indent=None if isinstance(value, list) else 1, separators=(",", ": "))
    file.write("\n")


def main():
  origin = {"origin": ORIGIN, "model": os.path.basename(MODEL), "sha256": hashlib.sha256(open(MODEL, "rb").read()).hexdigest()}
  peer = LlamaCpp(MODEL, 1, 512, "f32", False, False)
  text = open(os.path.join(HERE, "perplexity_text.txt")).read()
  ids = peer.tokenize(text, special=True)
  assert 400 < len(ids) <= 512, len(ids)
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "f32.gguf")
    metadata, tensors = read_gguf(MODEL)
    gguf_file.write(path, metadata, tensors)
    exact = LlamaCpp(path, 1, 512, "f32", False, False)
    write("reference.json", origin | {
      "perplexity_file": "perplexity_text.txt", "perplexity_token_ids": ids, "perplexity": perplexity(peer, ids), "perplexity_f32": perplexity(exact, ids)})
    write("greedy_tiny_f32.json", greedy(exact, 64))
  write("greedy_tiny.json", greedy(peer, 64))
  write("tokenizer_tiny.json", [
    {"text": s, "ids_plain": peer.tokenize(s, False), "ids_bos_special": peer.tokenize(s, True), "roundtrip_exact": peer.detokenize(peer.tokenize(s, False)) == s.encode()} for s in STRINGS])


if __name__ == "__main__":
  main()
