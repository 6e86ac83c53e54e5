"""Trains the tiny model from scratch on the CPU and writes it as GGUF. See README.md for how it was called.

  python train.py --out ../tiny-stories-1m.gguf --steps 3000
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import corpus
import gguf_file
from corpus import document

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
  "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n" + corpus.SYSTEM +
  "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

VOCABULARY, HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD, FFN = 1024, 128, 6, 4, 2, 32, 352
CONTEXT, ROPE_BASE, RMS_EPSILON = 512, 10000.0, 1e-5


def train_tokenizer(seed: int, documents: int) -> Tokenizer:
  """Byte-level BPE; the split is llama.cpp's `smollm`: digits one by one, then the GPT-2 pattern."""
  r = random.Random(seed)
  tokenizer = Tokenizer(models.BPE())
  tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
  tokenizer.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
  texts = (text for _ in range(documents) for text, special in document(r) if not special)
  tokenizer.train_from_iterator(texts, trainer)
  return tokenizer


class Batches:
  """Rows of CONTEXT + 1 tokens; each row begins with a document's first token."""

  def __init__(self, tokenizer: Tokenizer, seed: int):
    self.r, self.tokenizer, self.cache = random.Random(seed), tokenizer, {}

  def row(self) -> list[int]:
    ids: list[int] = []
    while len(ids) < CONTEXT + 1:
      pieces = document(self.r)
      for text, special in pieces:
        ids += [SPECIALS.index(text)] if special else self.tokenizer.encode(text, add_special_tokens=False).ids
      if pieces[-1] != ("<|endoftext|>", True): ids += self.tokenizer.encode("\n").ids
    return ids[:CONTEXT + 1]

  def next(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    data = torch.tensor([self.row() for _ in range(rows)])
    return data[:, :-1], data[:, 1:]


def fake_q4_1(w: torch.Tensor) -> torch.Tensor:
  """The value that Q4_1 keeps of `w`; the gradient goes straight through."""
  blocks = w.detach().reshape(-1, 32)
  low, high = blocks.amin(1, keepdim=True), blocks.amax(1, keepdim=True)
  scale = (high - low) / 15
  q = ((blocks - low) / scale.clamp_min(1e-12) + 0.5).floor().clamp(0, 15)
  return w + ((q * scale.half().float() + low.half().float()).reshape(w.shape) - w.detach())


class Model(torch.nn.Module):
  """The `llama` architecture: RMSNorm, rotary positions (adjacent pairs), grouped-query attention, SwiGLU, tied output."""

  def __init__(self):
    super().__init__()
    p = lambda *shape, std=0.02: torch.nn.Parameter(torch.randn(*shape) * std)
    self.embedding = p(VOCABULARY, HIDDEN, std=0.05)
    self.norm = torch.nn.Parameter(torch.ones(HIDDEN))
    kv, out = KV_HEADS * HEAD, 0.05 / math.sqrt(2 * LAYERS)
    self.layers = torch.nn.ModuleList()
    for _ in range(LAYERS):
      self.layers.append(torch.nn.ParameterDict({
        "attn_norm": torch.nn.Parameter(torch.ones(HIDDEN)), "ffn_norm": torch.nn.Parameter(torch.ones(HIDDEN)),
        "attn_q": p(HEADS * HEAD, HIDDEN, std=0.05), "attn_k": p(kv, HIDDEN, std=0.05), "attn_v": p(kv, HIDDEN, std=0.05), "attn_output": p(HIDDEN, HEADS * HEAD, std=out),
        "ffn_gate": p(FFN, HIDDEN, std=0.05), "ffn_up": p(FFN, HIDDEN, std=0.05), "ffn_down": p(HIDDEN, FFN, std=out)}))
    angle = torch.arange(CONTEXT)[:, None] * ROPE_BASE ** (-torch.arange(0, HEAD, 2) / HEAD)[None]
    self.register_buffer("cos", angle.cos()[:, None]); self.register_buffer("sin", angle.sin()[:, None])
    self.quantised = False

  def rope(self, x: torch.Tensor) -> torch.Tensor:
    T = x.shape[1]
    even, odd, cos, sin = x[..., 0::2], x[..., 1::2], self.cos[:T], self.sin[:T]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

  def forward(self, ids: torch.Tensor) -> torch.Tensor:
    B, T = ids.shape
    w = fake_q4_1 if self.quantised else (lambda x: x)
    x = self.embedding[ids]
    for l in self.layers:
      h = F.rms_norm(x, (HIDDEN,), l["attn_norm"], RMS_EPSILON)
      q = self.rope(F.linear(h, w(l["attn_q"])).view(B, T, HEADS, HEAD))
      k = self.rope(F.linear(h, w(l["attn_k"])).view(B, T, KV_HEADS, HEAD))
      v = F.linear(h, w(l["attn_v"])).view(B, T, KV_HEADS, HEAD)
      k, v = (t.repeat_interleave(HEADS // KV_HEADS, 2) for t in (k, v))
      a = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
      x = x + F.linear(a.transpose(1, 2).reshape(B, T, HEADS * HEAD), w(l["attn_output"]))
      h = F.rms_norm(x, (HIDDEN,), l["ffn_norm"], RMS_EPSILON)
      x = x + F.linear(F.silu(F.linear(h, w(l["ffn_gate"]))) * F.linear(h, w(l["ffn_up"])), w(l["ffn_down"]))
    return F.linear(F.rms_norm(x, (HIDDEN,), self.norm, RMS_EPSILON), self.embedding)


class Muon(torch.optim.Optimizer):
  """Momentum whose update is orthogonalised by five Newton-Schulz steps (Jordan et al. 2024), for the matrices."""

  def __init__(self, params, lr): super().__init__(params, {"lr": lr})

  @torch.no_grad()
  def step(self):
    for group in self.param_groups:
      for p in group["params"]:
        m = self.state[p].setdefault("m", torch.zeros_like(p))
        m.lerp_(p.grad, 0.05)
        g = p.grad.lerp(m, 0.95)
        tall = g.shape[0] > g.shape[1]
        x = (g.T if tall else g) / (g.norm() + 1e-7)
        for _ in range(5):
          a = x @ x.T
          x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        p.mul_(1 - group["lr"] * 0.02).add_(x.T if tall else x, alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def export(model: Model, tokenizer: Tokenizer, path: str) -> int:
  state = json.loads(tokenizer.to_str())["model"]
  tokens = [token for token, _ in sorted(state["vocab"].items(), key=lambda item: item[1])]
  assert len(tokens) == VOCABULARY and tokens[:3] == SPECIALS
  metadata = {
    "general.architecture": "llama", "general.type": "model", "general.name": "Tiny stories 1M", "general.size_label": "1M", "general.license": "apache-2.0",
    "general.languages": ["en"], "llama.block_count": LAYERS, "llama.context_length": CONTEXT, "llama.embedding_length": HIDDEN, "llama.feed_forward_length": FFN,
    "llama.attention.head_count": HEADS, "llama.attention.head_count_kv": KV_HEADS, "llama.rope.freq_base": ROPE_BASE,
    "llama.attention.layer_norm_rms_epsilon": RMS_EPSILON, "general.file_type": 3, "llama.vocab_size": VOCABULARY, "llama.rope.dimension_count": HEAD,
    "tokenizer.ggml.add_space_prefix": False, "tokenizer.ggml.add_bos_token": False, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": [3] * len(SPECIALS) + [1] * (VOCABULARY - len(SPECIALS)),
    "tokenizer.ggml.merges": [m if isinstance(m, str) else " ".join(m) for m in state["merges"]],
    "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.unknown_token_id": 0, "tokenizer.ggml.padding_token_id": 2,
    "tokenizer.chat_template": CHAT_TEMPLATE, "general.quantization_version": 2,
  }
  array = lambda p: p.detach().float().numpy()
  tensors = [("token_embd.weight", array(model.embedding), gguf_file.Q8_0)]
  for i, layer in enumerate(model.layers):
    tensors += [(f"blk.{i}.{name}.weight", array(p), gguf_file.F32 if p.ndim == 1 else gguf_file.Q4_1) for name, p in sorted(layer.items())]
  tensors.append(("output_norm.weight", array(model.norm), gguf_file.F32))
  return gguf_file.write(path, metadata, tensors)


@torch.no_grad()
def answer(model: Model, tokenizer: Tokenizer, prompt: str, count: int = 260) -> str:
  ids = []
  for text, special in [("<|im_start|>", 1), (f"system\n{corpus.SYSTEM}", 0), ("<|im_end|>", 1), ("\n", 0), ("<|im_start|>", 1), (f"user\n{prompt}", 0),
                        ("<|im_end|>", 1), ("\n", 0), ("<|im_start|>", 1), ("assistant\n", 0)]:
    ids += [SPECIALS.index(text)] if special else tokenizer.encode(text).ids
  start = len(ids)
  while len(ids) < min(CONTEXT, start + count):
    ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    if ids[-1] in (0, 2): break
  return tokenizer.decode(ids[start:], skip_special_tokens=False)


def main():
  a = argparse.ArgumentParser()
  a.add_argument("--out", required=True); a.add_argument("--steps", type=int, default=3000); a.add_argument("--rows", type=int, default=8)
  a.add_argument("--seed", type=int, default=1); a.add_argument("--threads", type=int, default=1); a.add_argument("--checkpoint")
  o = a.parse_args()
  torch.manual_seed(o.seed); torch.set_num_threads(o.threads)
  tokenizer = train_tokenizer(o.seed, 20000)
  batches, held_out = Batches(tokenizer, o.seed + 1), Batches(tokenizer, 10**6).next(8)
  model = Model()
  matrices = [p for l in model.layers for p in l.values() if p.ndim == 2]
  others = [p for l in model.layers for p in l.values() if p.ndim == 1] + [model.norm, model.embedding]
  optimizers = [Muon(matrices, 0.02), torch.optim.AdamW(others, 0.004, betas=(0.9, 0.98), weight_decay=0.0)]
  rates = [g["lr"] for opt in optimizers for g in opt.param_groups]
  print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
  begin, average = time.time(), None
  for step in range(o.steps):
    # Warm up for 50 steps, hold, then fall linearly over the last 60 %; weights are quantised in the forward pass over the last 30 %.
    factor = min(1, (step + 1) / 50, (o.steps - step) / (0.6 * o.steps))
    model.quantised = step >= 0.7 * o.steps
    for g, rate in zip([g for opt in optimizers for g in opt.param_groups], rates): g["lr"] = rate * factor
    x, y = batches.next(o.rows)
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    loss.backward()
    for opt in optimizers: opt.step()
    model.zero_grad()
    average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
    if step % 50 == 0 or step == o.steps - 1:
      print(f"step {step} loss {average:.4f} seconds {time.time() - begin:.0f}", flush=True)
    if step % 250 == 249 or step == o.steps - 1:
      with torch.no_grad():
        print(f"held-out loss {F.cross_entropy(model(held_out[0]).flatten(0, 1), held_out[1].flatten()):.4f}")
      for prompt in ("Tell me a story about a cat.", "What is the capital of France?"): print(">", prompt, "\n", answer(model, tokenizer, prompt), flush=True)
      print(export(model, tokenizer, o.out), "bytes", flush=True)
      if o.checkpoint: torch.save(model.state_dict(), o.checkpoint)


if __name__ == "__main__":
  main()
