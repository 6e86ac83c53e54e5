"""Writes GGUF v3, and the two block formats the tiny model uses; numpy only.

Layouts (ggml): Q4_1 = f16 scale, f16 minimum, 16 bytes (element i in the low, i + 16 in the high nibble of byte i) per 32 weights;
Q8_0 = f16 scale, 32 int8 per 32 weights.
"""

from __future__ import annotations

import struct

import numpy as np

F32, Q4_1, Q8_0 = 0, 3, 8
ALIGNMENT = 32


def quantize_q4_1(x: np.ndarray) -> bytes:
  blocks = np.ascontiguousarray(x, np.float32).reshape(-1, 32)
  low, high = blocks.min(1, keepdims=True), blocks.max(1, keepdims=True)
  scale = (high - low) / np.float32(15)
  inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
  q = np.minimum(15, ((blocks - low) * inverse + np.float32(0.5)).astype(np.int32)).astype(np.uint8)
  out = np.empty((len(blocks), 20), np.uint8)
  out[:, 0:2], out[:, 2:4] = scale.astype(np.float16).view(np.uint8), low.astype(np.float16).view(np.uint8)
  out[:, 4:] = q[:, :16] | (q[:, 16:] << 4)
  return out.tobytes()


def quantize_q8_0(x: np.ndarray) -> bytes:
  blocks = np.ascontiguousarray(x, np.float32).reshape(-1, 32)
  scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
  inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
  out = np.empty((len(blocks), 34), np.uint8)
  out[:, 0:2] = scale.astype(np.float16).view(np.uint8)
  out[:, 2:] = np.round(blocks * inverse).astype(np.int8).view(np.uint8)
  return out.tobytes()


ENCODERS = {F32: lambda x: np.ascontiguousarray(x, "<f4").tobytes(), Q4_1: quantize_q4_1, Q8_0: quantize_q8_0}


def _string(text: str) -> bytes:
  data = text.encode()
  return struct.pack("<Q", len(data)) + data


def _value(value) -> bytes:
  """bool, int (u32), float (f32), str, or a list of str or int (i32)."""
  if isinstance(value, bool): return struct.pack("<I?", 7, value)
  if isinstance(value, int): return struct.pack("<II", 4, value)
  if isinstance(value, float): return struct.pack("<If", 6, value)
  if isinstance(value, str): return struct.pack("<I", 8) + _string(value)
  if isinstance(value[0], str): return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))
  return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)


def write(path: str, metadata: dict, tensors: list[tuple[str, np.ndarray, int]]) -> int:
  """`tensors`: name, row-major array, element type. Returns the file's byte count."""
  padded = lambda data: data + bytes(-len(data) % ALIGNMENT)
  header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
  header += b"".join(_string(key) + _value(value) for key, value in metadata.items())
  data = b""
  for name, array, kind in tensors:
    header += _string(name) + struct.pack("<I", array.ndim) + struct.pack(f"<{array.ndim}Q", *reversed(array.shape)) + struct.pack("<IQ", kind, len(data))
    data += padded(ENCODERS[kind](array))
  with open(path, "wb") as file:
    return file.write(padded(header) + data)
