"""Runs llama.wasm with kernels.wasm under wasmtime on a GGUF file and compares with reference logits and greedy tokens.

    python check_llama.py KERNELS.wasm LLAMA.wasm MODEL.gguf REFERENCE.json [greatest number of tokens] [case ids]

Judged as models.md says: the ten best logits after the prompt agree within 0.7; the first differing greedy token, if any,
stands where the two best logits are closer than 0.4. Then: batched sequences, split prefill, trim, close and refusals.
"""
import json
import struct
import sys
import time
import numpy as np
import gguf
from bindings import Guests


def catalog(reader):
    values, tensors = [], []
    for key, field in reader.fields.items():
        if key.startswith("GGUF."):
            continue
        kind = field.types[0]
        k = key.encode()
        head = struct.pack("<I", len(k)) + k
        if kind == gguf.GGUFValueType.ARRAY:
            name = (key + ".count").encode()
            values.append(struct.pack("<I", len(name)) + name + struct.pack("<Bq", 1, len(field.data)))
        elif kind == gguf.GGUFValueType.STRING:
            text = bytes(field.parts[-1])
            values.append(head + struct.pack("<BI", 3, len(text)) + text)
        elif kind in (gguf.GGUFValueType.FLOAT32, gguf.GGUFValueType.FLOAT64):
            values.append(head + struct.pack("<Bd", 2, float(field.parts[-1][0])))
        else:
            values.append(head + struct.pack("<Bq", 0 if kind == gguf.GGUFValueType.BOOL else 1, int(field.parts[-1][0])))
    for t in reader.tensors:
        name = t.name.encode()
        shape = [int(n) for n in reversed(t.shape)]
        tensors.append(struct.pack("<I", len(name)) + name + struct.pack("<II", int(t.tensor_type), len(shape))
                       + b"".join(struct.pack("<Q", n) for n in shape) + struct.pack("<QQ", int(t.data_offset), int(t.n_bytes)))
    return struct.pack("<IIII", 0x43444E42, 1, len(values), len(tensors)) + b"".join(values) + b"".join(tensors)


class Program:
    def __init__(self, kernels, llama, path):
        self.guests = Guests()
        self.kernels, self.e = self.guests.load(kernels, llama)
        self.store = self.guests.store
        self.guests.write("weights", 0, open(path, "rb").read())

    def call(self, name, *arguments):
        return self.e[name](self.store, *arguments)

    def error(self):
        address, count = self.call("error_address"), self.call("error_byte_count")
        return bytes(self.e["memory"].read(self.store, address, address + count)).decode()

    def configure(self, data):
        address = self.call("allocate", len(data))
        self.e["memory"].write(self.store, data, address)
        return self.call("configure", address, len(data))

    def forward(self, tokens, positions, sequences, outputs):
        request = self.call("pass_begin", len(tokens), len(outputs))
        assert request >= 0, self.error()
        address = request
        for array in (tokens, positions, sequences, outputs):
            data = np.array(array, np.int32).tobytes()
            if data:
                self.guests.write("scratch", address, data)
            address += (len(data) + 63) // 64 * 64
        logits = self.call("forward")
        if logits < 0:
            raise ValueError(self.error())
        n = self.call("vocabulary_size")
        result = np.frombuffer(self.guests.read("scratch", logits, 4 * n * len(outputs)), np.float32).reshape(len(outputs), n).copy()
        size = self.guests.memories["scratch"].data_len(self.store)
        self.guests.write("scratch", 0, bytes(size))  # as the host's discard
        return result


def refused(action, *words):
    try:
        action()
    except ValueError as error:
        assert all(word in str(error) for word in words), error
        return print("refused:", error)
    raise AssertionError("not refused: " + " ".join(words))


kernels, llama, path, reference = sys.argv[1:5]
token_count_max = int(sys.argv[5]) if len(sys.argv) > 5 else 64
wanted = sys.argv[6].split(",") if len(sys.argv) > 6 else None
program = Program(kernels, llama, path)
data = catalog(gguf.GGUFReader(path))
start = time.time()
assert program.configure(data) == 0, program.error()
print(f"configured in {time.time() - start:.4f} s; vocabulary {program.call('vocabulary_size')}, context {program.call('context_length')}")
cases = json.load(open(reference))
failed = 0
for case in cases:
    if wanted and case["id"] not in wanted:
        continue
    prompt, greedy, margins = case["prompt_token_ids"], case["greedy_token_ids"], case["greedy_top1_minus_top2"]
    sequence = program.call("sequence_open", len(prompt) + len(greedy))
    assert sequence >= 0, program.error()
    start = time.time()
    logits = program.forward(prompt, range(len(prompt)), [sequence] * len(prompt), [len(prompt) - 1])[0]
    prefill = time.time() - start
    ten = case["last_prompt_top10"]
    difference = max(abs(logits[i] - l) for i, l in zip(ten["ids"], ten["logits"]))
    produced, position, note = [], len(prompt), "all equal"
    start = time.time()
    for step in range(min(len(greedy), token_count_max)):
        token = int(np.argmax(logits))
        produced.append(token)
        if token != greedy[step]:
            note = f"differs at {step}, margin {margins[step] if margins else '?'}"
            failed += not (margins and margins[step] < 0.4)
            break
        if step + 1 < min(len(greedy), token_count_max):
            logits = program.forward([token], [position], [sequence], [0])[0]
            position += 1
    decode = (time.time() - start) / max(1, len(produced) - 1)
    failed += difference > 0.7
    print(f"{case['id']:12} prompt {len(prompt):3} top-ten difference {difference:.3f} {note} after {len(produced)}"
          f" | prefill {prefill:.2f} s, decode {1 / decode:.1f} tokens/s")
    assert program.call("sequence_close", sequence) == 0

# The same rows in any grouping give the same logits.
tokens = (cases[0]["prompt_token_ids"] * 72)[:72]
a = program.call("sequence_open", 256)
whole = program.forward(tokens, range(len(tokens)), [a] * len(tokens), range(0, len(tokens), 5))
b = program.call("sequence_open", 256)
program.forward(tokens[:7], range(7), [b] * 7, [])
part = program.forward(tokens[7:], range(7, len(tokens)), [b] * (len(tokens) - 7), [len(tokens) - 2 - 7])
split = np.abs(part[0] - whole[14]).max()  # row 70 of 72
last = program.forward([5], [len(tokens)], [b], [0])
assert program.call("sequence_trim", a, 66) == 0
both = program.forward(tokens[66:] + [11, 5], list(range(66, len(tokens))) + [0, len(tokens)],
                       [a] * (len(tokens) - 66) + [program.call("sequence_open", 64), a], [0, len(tokens) - 66 + 1])
print("batched against single:", np.abs(both[1] - last[0]).max(), "split prefill:", split)
failed += not (np.abs(both[1] - last[0]).max() < 0.3 and split < 0.3)
n = program.call("vocabulary_size")
refused(lambda: program.forward([1], [3], [a], [0]), "position", "3")
refused(lambda: program.forward([n], [len(tokens) + 1], [a], [0]), "token", str(n))
refused(lambda: program.forward([1] * 300, range(300), [2] * 300, [0]), "sequence 2")
c = program.call("sequence_open", 10)
refused(lambda: program.forward([1] * 12, range(12), [c] * 12, [11]), "12", "10")
refused(lambda: program.forward([1], [0], [99], [0]), "99")
assert program.call("sequence_open", 100000) == -1
print("refused:", program.error())
assert program.configure(data) == 1


def configure_error(change):
    if change(data) == data:
        return print("not tried: the file has no such tensor")
    other = Program(kernels, llama, path)
    assert other.configure(change(data)) != 0
    print("refused:", other.error())


configure_error(lambda d: d[:1000])
configure_error(lambda d: b"XXXX" + d[4:])
configure_error(lambda d: d.replace(b"llama.block_count", b"llama.block_kount"))
configure_error(lambda d: d.replace(b"blk.3.attn_q.weight", b"blk.3.attn_z.weight"))
configure_error(lambda d: d.replace(b"blk.3.attn_q.weight" + struct.pack("<I", 3), b"blk.3.attn_q.weight" + struct.pack("<I", 19)))
configure_error(lambda d: d.replace(struct.pack("<IIQQ", 3, 2, 192, 576), struct.pack("<IIQQ", 3, 2, 128, 576)))
configure_error(lambda d: d.replace(struct.pack("<IIQQ", 3, 2, 192, 576), struct.pack("<IIQQ", 8, 2, 192, 576)))
print("failed:", failed)
sys.exit(1 if failed else 0)
