"""Writes blocks.json: sizes, encoded and decoded blocks, as ggml itself computes them.

Needs the Python package llama-cpp-python (0.3.36 was used, ggml 0.25.3): its shared library is called through ctypes.
Usage: python make_blocks.py > blocks.json
"""
import ctypes, glob, json, os, random, struct, sys
import llama_cpp

folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
ggml = ctypes.CDLL(glob.glob(os.path.join(folder, "libggml-base.so*"))[0])
ggml.ggml_type_size.restype = ctypes.c_size_t
ggml.ggml_blck_size.restype = ctypes.c_int64
ggml.ggml_type_name.restype = ctypes.c_char_p
random.seed(1)

sizes = []
for number in list(range(0, 4)) + list(range(6, 31)) + [34, 35, 39, 40, 41, 42]:
    sizes.append({"number": number, "name": ggml.ggml_type_name(number).decode(),
                  "block_element_count": ggml.ggml_blck_size(number), "block_byte_count": ggml.ggml_type_size(number)})

def bits(floats):
    return [struct.unpack("<I", struct.pack("<f", f))[0] for f in floats]

def floats(count, kind):
    if kind == 0: values = [random.gauss(0, 1) for _ in range(count)]
    elif kind == 1: values = [0.0] * count
    elif kind == 2: values = [abs(random.gauss(0, 30)) + 5 for _ in range(count)]
    else: values = [random.uniform(-1, 1) * 10 ** random.randint(-4, 2) for _ in range(count)]
    return [struct.unpack("<f", struct.pack("<f", v))[0] for v in values]

cases = []
for number, name in [(2, "q4_0"), (3, "q4_1"), (6, "q5_0"), (7, "q5_1"), (8, "q8_0"), (12, "q4_K"), (13, "q5_K"), (14, "q6_K")]:
    block = ggml.ggml_blck_size(number)
    size = ggml.ggml_type_size(number)
    for kind in range(4):
        count = block * (2 if block == 32 else 1)
        values = floats(count, kind)
        source = (ctypes.c_float * count)(*values)
        encoded = (ctypes.c_uint8 * (count // block * size))()
        getattr(ggml, f"quantize_row_{name}_ref")(source, encoded, ctypes.c_int64(count))
        decoded = (ctypes.c_float * count)()
        getattr(ggml, f"dequantize_row_{name}")(encoded, decoded, ctypes.c_int64(count))
        cases.append({"type": number, "values": bits(values), "bytes": bytes(encoded).hex(), "decoded": bits(decoded)})

halves = []
ggml.ggml_fp32_to_fp16.argtypes = [ctypes.c_float]
ggml.ggml_fp32_to_fp16.restype = ctypes.c_uint16
for _ in range(300):
    pattern = random.getrandbits(32)
    if random.random() < 0.8: pattern = pattern & 0x807FFFFF | random.randint(98, 145) << 23
    value = struct.unpack("<f", struct.pack("<I", pattern))[0]
    if value != value: continue
    halves.append([pattern, ggml.ggml_fp32_to_fp16(value)])
json.dump({"source": "ggml 0.25.3 by llama-cpp-python 0.3.36", "sizes": sizes, "blocks": cases, "halves": halves}, sys.stdout, separators=(",", ":"))
