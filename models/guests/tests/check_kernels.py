"""Compares every operation of kernels.wasm with numpy in double precision, over random and awkward shapes.

    python check_kernels.py FOLDER/kernels.wasm [seed]
"""
import math
import sys
import numpy as np
from gguf import GGMLQuantizationType as T, quants
from bindings import Guests

seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(np.random.bytes(4), "little")
print("seed", seed)
rng = np.random.default_rng(seed)
guests = Guests()
(k,) = guests.load(sys.argv[1])
store = guests.store
guests.reserve("weights", 1 << 22)
guests.reserve("scratch", 1 << 23)
guests.reserve("cache", 1 << 23)
failures = 0
checks = 0


def call(name, *arguments):
    k[name](store, *arguments)


def floats(address, shape):
    return np.frombuffer(guests.read("scratch", address, 4 * math.prod(shape)), np.float32).reshape(shape)


def put(address, array, memory="scratch"):
    guests.write(memory, address, np.ascontiguousarray(array).tobytes())


def check(name, got, want, tolerance):
    """Normalised squared error: sum (got - want)^2 / sum want^2."""
    global failures, checks
    checks += 1
    want = np.asarray(want, np.float64)
    got = np.asarray(got, np.float64)
    error = np.sum((got - want) ** 2) / max(np.sum(want ** 2), 1e-30)
    if not error <= tolerance:
        failures += 1
        print("FAILED", name, "error", error, "tolerance", tolerance, "greatest", np.max(np.abs(got - want)))


def f16(shape, scale=0.05, signed=True):
    return (rng.normal(size=shape) * scale if signed else np.abs(rng.normal(size=shape)) * scale).astype(np.float16)


def blocks(type, rows, columns):
    """Random bytes with sensible scales, and the weights they stand for."""
    size = {T.Q4_0: (32, 18), T.Q4_1: (32, 20), T.Q5_0: (32, 22), T.Q5_1: (32, 24), T.Q8_0: (32, 34), T.Q4_K: (256, 144),
            T.Q6_K: (256, 210)}
    if type in size:
        count = rows * columns // size[type][0]
        data = rng.integers(0, 256, size=(count, size[type][1]), dtype=np.uint8)
        scales = f16(count).view(np.uint8).reshape(-1, 2)
        data[:, 208:210 if type == T.Q6_K else 208] = scales if type == T.Q6_K else data[:, 208:208]
        if type != T.Q6_K:
            data[:, 0:2] = scales
        if type in (T.Q4_1, T.Q5_1, T.Q4_K):
            data[:, 2:4] = f16(count).view(np.uint8).reshape(-1, 2)
        if type == T.Q8_0:
            data[:, 2:][data[:, 2:] == 128] = 127
        data = data.reshape(rows, -1)
        return data, quants.dequantize(data, type).reshape(rows, columns)
    values = rng.normal(size=(rows, columns)).astype(np.float32) * 0.1
    if type == T.F32:
        return values, values
    if type == T.F16:
        half = values.astype(np.float16)
        half.reshape(-1)[: min(4, half.size)] = np.array([6e-8, -3e-6, 65504, 0], np.float16)[: min(4, half.size)]
        return half, half.astype(np.float32)
    if type == T.BF16:
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        return bits, (bits.astype(np.uint32) << 16).view(np.float32)


W, X, OUT, IDS, BASES = 4096 + 2, 64, 1 << 22, 1 << 21, (1 << 21) + 65536

# matmul. Quantised activations: error of rounding to 1/127 of the greatest of 32, about 3e-5 of the square.
shapes = [(1, 32, 1), (1, 64, 3), (1, 96, 4), (1, 576, 6), (2, 96, 5), (3, 64, 9), (4, 160, 4), (5, 32, 7), (8, 576, 13), (11, 96, 8), (16, 64, 5), (35, 224, 6)]
integer = (T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q4_K, T.Q6_K)
for type in (T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q4_K, T.Q6_K):
    for rows, columns_in, columns_out in shapes:
        if type in (T.F32, T.F16, T.BF16):
            columns_in += int(rng.integers(0, 4)) if rows % 2 else 0
        if type in (T.Q4_K, T.Q6_K):
            columns_in = 256 * (1 + columns_in // 500)
        data, weights = blocks(type, columns_out, columns_in)
        x = rng.normal(size=(rows, columns_in)).astype(np.float32) * np.float32(rng.choice([0.01, 1, 30]))
        put(W, data, "weights"), put(X, x)
        put(OUT, np.full((rows, columns_out), np.nan, np.float32))
        call("matmul", OUT, X, W, int(type), rows, columns_in, columns_out)
        want = x.astype(np.float64) @ weights.astype(np.float64).T
        scale = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(weights.astype(np.float64), axis=1)[None]
        name = f"matmul {type.name} {rows}x{columns_in}x{columns_out}"
        got = floats(OUT, (rows, columns_out))
        if type in integer:
            # Against the same rounding of the activations: only the order of summation differs. And the rounding itself.
            b = x.reshape(rows, -1, 32)
            largest = np.abs(b).max(-1, keepdims=True)
            q = np.rint(b * (np.float32(127) / largest)) * (largest / np.float32(127)).astype(np.float64)
            check(name, got, q.reshape(rows, -1) @ weights.astype(np.float64).T, 1e-10)
        check(name + " absolute", 1 + (got - want) / scale, np.ones_like(want), 3e-5 if type in integer else 1e-12)
        first = int(rng.integers(0, columns_out))
        count = int(rng.integers(0, columns_out - first + 1))
        before = rng.normal(size=(rows, columns_out)).astype(np.float32)
        put(OUT, before)
        call("matmul_slice", OUT, X, W, int(type), rows, columns_in, columns_out, first, count)
        after = before.copy()
        after[:, first:first + count] = got[:, first:first + count]
        check(f"{name} slice {first}+{count}", floats(OUT, (rows, columns_out)), after, 1e-12)
    data, weights = blocks(type, 40, 512)
    ids = rng.integers(0, 40, size=7).astype(np.int32)
    put(W, data, "weights"), put(IDS, ids)
    call("get_rows", OUT, W, int(type), IDS, 7, 512, 40)
    check(f"get_rows {type.name}", floats(OUT, (7, 512)), weights[ids], 1e-13)

for rows, columns in [(1, 4), (3, 576), (2, 7), (5, 1), (1, 33)]:
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    x64 = x.astype(np.float64)
    w, b = rng.normal(size=(2, columns)).astype(np.float32)
    put(X, x), put(W, w, "weights"), put(W + 65536, b, "weights")
    call("rms_norm", OUT, X, W, 0, rows, columns, 1e-5)
    check(f"rms_norm {rows}x{columns}", floats(OUT, x.shape), x64 / np.sqrt((x64 ** 2).mean(1, keepdims=True) + 1e-5) * w, 1e-12)
    call("layer_norm", OUT, X, W, W + 65536, 0, rows, columns, 1e-5)
    centred = x64 - x64.mean(1, keepdims=True)
    check(f"layer_norm {rows}x{columns}", floats(OUT, x.shape), centred / np.sqrt((centred ** 2).mean(1, keepdims=True) + 1e-5) * w + b, 1e-11)
    call("add_bias", OUT, X, W, 0, rows, columns)
    check(f"add_bias {rows}x{columns}", floats(OUT, x.shape), x64 + w, 1e-13)
    call("softmax", OUT, X, rows, columns)
    e = np.exp(x64 - x64.max(1, keepdims=True))
    check(f"softmax {rows}x{columns}", floats(OUT, x.shape), e / e.sum(1, keepdims=True), 1e-12)
    kk = min(columns, 5)
    x = rng.integers(-4, 4, size=x.shape).astype(np.float32)
    put(X, x)
    call("top_k", OUT, IDS, X, rows, columns, kk)
    order = np.argsort(-x, axis=1, kind="stable")[:, :kk]
    check(f"top_k values {rows}x{columns}", floats(OUT, (rows, kk)), np.take_along_axis(x, order, 1), 0)
    ids = np.frombuffer(guests.read("scratch", IDS, 4 * rows * kk), np.int32).reshape(rows, kk)
    check(f"top_k ids {rows}x{columns}", ids, order, 0)

for n in (1, 3, 4, 1000, 1003):
    x = (rng.normal(size=n) * rng.choice([0.1, 3, 20])).astype(np.float32)
    y = rng.normal(size=n).astype(np.float32)
    x64 = x.astype(np.float64)
    put(X, x), put(IDS, y)
    erf = np.array([math.erf(v / math.sqrt(2)) for v in x64])
    with np.errstate(over="ignore"):
        silu = x64 / (1 + np.exp(-x64))
    gelu_tanh = 0.5 * x64 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x64 + 0.044715 * x64 ** 3)))
    for name, want in (("silu", silu), ("gelu", 0.5 * x64 * (1 + erf)), ("gelu_tanh", gelu_tanh)):
        call(name, OUT, X, n)
        # Far out, e^x turns the rounding of x into a relative error of |x| 2^-24.
        check(f"{name} {n}", floats(OUT, (n,)), want, 2e-11)
    for name, want in (("add", x64 + y), ("mul", x64 * y), ("silu_mul", silu * y), ("gelu_tanh_mul", gelu_tanh * y)):
        call(name, OUT, X, IDS, n)
        # Far out, e^x turns the rounding of x into a relative error of |x| 2^-24.
        check(f"{name} {n}", floats(OUT, (n,)), want, 2e-11)
    call("scale", OUT, X, n, 0.3)
    check(f"scale {n}", floats(OUT, (n,)), x64 * np.float32(0.3), 1e-13)

for mode in (0, 1):
    for rows, heads, head_dim, rope_dim in [(3, 9, 64, 64), (2, 2, 64, 32), (1, 3, 20, 12), (2, 1, 256, 256), (1, 1, 8, 2)]:
        for base in (1e5, 1e4):
            x = rng.normal(size=(rows, heads, head_dim)).astype(np.float32)
            positions = rng.choice([0, 1, 17, 511, 4095, 8191, 32767], size=rows).astype(np.int32)
            put(X, x), put(IDS, positions)
            call("rope", X, IDS, rows, heads, head_dim, rope_dim, base, 1.0, mode)
            angle = positions[:, None] * base ** (-2 * np.arange(rope_dim // 2) / rope_dim)
            c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
            want = x.astype(np.float64)
            a, b = (x[..., 0:rope_dim:2], x[..., 1:rope_dim:2]) if mode == 0 else (x[..., :rope_dim // 2], x[..., rope_dim // 2:rope_dim])
            ra, rb = a * c - b * s, b * c + a * s
            if mode == 0:
                want[..., 0:rope_dim:2], want[..., 1:rope_dim:2] = ra, rb
            else:
                want[..., :rope_dim // 2], want[..., rope_dim // 2:rope_dim] = ra, rb
            check(f"rope mode {mode} {rows}x{heads}x{head_dim} {rope_dim} at {positions}", floats(X, x.shape), want, 1e-13)

for type in (0, 1):
    for heads, kv_heads, head_dim, window, softcap in [(9, 3, 64, 0, 0), (4, 1, 256, 5, 0), (12, 2, 32, 0, 8.0), (2, 2, 20, 0, 30.0), (3, 3, 12, 70, 0)]:
        width, element = kv_heads * head_dim, 2 if type else 4
        chunk, layer_count, layer = 64, 2, 1
        plane = chunk * width * element
        stride = (2 * layer_count * plane + 65535) // 65536 * 65536
        lengths = [130, 3]
        sequence_bases = [65536, 65536 + 4 * stride]
        guests.reserve("cache", 65536 + 8 * stride)
        keys, values = [], []
        for base, length in zip(sequence_bases, lengths):
            kv = rng.normal(size=(2, length, width)).astype(np.float32)
            positions = np.arange(length, dtype=np.int32)
            put(BASES, np.full(length, base, np.int64)), put(IDS, positions)
            for part, target in ((0, keys), (1, values)):
                put(X, kv[part])
                call("cache_append", X, BASES, IDS, (2 * layer + part) * plane, chunk, stride, length, width, type)
                target.append(kv[part].astype(np.float16).astype(np.float64) if type else kv[part].astype(np.float64))
        rows = [(0, p) for p in range(128, 130)] + [(1, 0), (1, 1), (1, 2)] + [(0, p) for p in range(0, 90)]
        q = rng.normal(size=(len(rows), heads, head_dim)).astype(np.float32)
        put(X, q), put(BASES, np.array([sequence_bases[s] for s, _ in rows], np.int64))
        put(IDS, np.array([p for _, p in rows], np.int32))
        want = np.zeros(q.shape)
        scale = 1 / math.sqrt(head_dim)
        for r, (s, p) in enumerate(rows):
            start = max(0, p - window + 1) if window else 0
            for h in range(heads):
                g = h // (heads // kv_heads) * head_dim
                score = keys[s][start:p + 1, g:g + head_dim] @ q[r, h].astype(np.float64) * scale
                if softcap:
                    score = softcap * np.tanh(score / softcap)
                e = np.exp(score - score.max())
                want[r, h] = (e / e.sum()) @ values[s][start:p + 1, g:g + head_dim]
        shape = (OUT, X, BASES, IDS, 2 * layer * plane, (2 * layer + 1) * plane, chunk, stride, len(rows), heads, kv_heads, head_dim,
                 type, scale, window, float(softcap))
        name = f"attention {heads}/{kv_heads}x{head_dim} type {type} window {window} softcap {softcap}"
        call("attention", *shape)
        got = floats(OUT, q.shape)
        check(name, got, want, 1e-11)
        before = rng.normal(size=q.shape).astype(np.float32)
        put(OUT, before)
        call("attention_slice", *shape, 1, 20, 1, heads - 1)
        before[1:21, 1:] = got[1:21, 1:]
        check(name + " slice", floats(OUT, q.shape), before, 1e-12)
        for r in (0, 3, 20):  # one row is another kernel than many
            before = rng.normal(size=q.shape).astype(np.float32)
            put(OUT, before)
            call("attention_slice", *shape, r, 1, 0, heads)
            before[r] = want[r]
            check(f"{name} row {r}", floats(OUT, q.shape), before, 1e-11)

print(f"{checks} checks, {failures} failed")
sys.exit(1 if failures else 0)
