"""Writes sentencepiece.json: a small SentencePiece vocabulary, strings, and their token ids as llama.cpp computes them.

The vocabulary is trained here, on the strings themselves. Needs the Python packages sentencepiece (0.2.3 was used) and
llama-cpp-python (0.3.36), each from its own environment if need be: train with the first, encode with the second.
Usage: python make_sentencepiece.py train FOLDER; python make_sentencepiece.py encode FOLDER > sentencepiece.json
"""
import json, os, struct, sys

folder = sys.argv[2]
cases = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "smollm2.json")))
texts = [c["text"] for c in cases if "\0" not in c["text"] and len(c["text"]) < 150]

if sys.argv[1] == "train":
    import sentencepiece
    sentences = [t for t in texts if t.strip()] + ["Once upon a time there was a little tokenizer that could merge the words of every story."] * 3
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_prefix=os.path.join(folder, "small"), vocab_size=1500, model_type="bpe", byte_fallback=True,
        character_coverage=0.98, hard_vocab_limit=False, user_defined_symbols=["<word>", "   "], control_symbols=["<turn>"], remove_extra_whitespaces=False,
        normalization_rule_name="identity", bos_id=1, eos_id=2, unk_id=0, minloglevel=2)
    model = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "small.model"))
    vocabulary = []
    for i in range(model.get_piece_size()):
        piece = model.id_to_piece(i)
        kind = 2 if model.is_unknown(i) else 3 if model.is_control(i) else 6 if model.is_byte(i) else 4 if piece in ("<word>", "   ", "▁▁▁") else 1
        vocabulary.append([piece.replace("▁", " ") if kind == 4 else piece, model.get_score(i), kind])
    json.dump(vocabulary, open(os.path.join(folder, "vocabulary.json"), "w"), ensure_ascii=True)
    sys.exit(0)

vocabulary = json.load(open(os.path.join(folder, "vocabulary.json")))

def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data

def array(kind, values, pack):
    return struct.pack("<IIQ", 9, kind, len(values)) + b"".join(map(pack, values))

def encode(space_prefix):
    from llama_cpp import Llama
    entries = [
        string("general.architecture") + struct.pack("<I", 8) + string("llama"),
        string("tokenizer.ggml.model") + struct.pack("<I", 8) + string("llama"),
        string("tokenizer.ggml.tokens") + array(8, [v[0] for v in vocabulary], string),
        string("tokenizer.ggml.scores") + array(6, [v[1] for v in vocabulary], lambda f: struct.pack("<f", f)),
        string("tokenizer.ggml.token_type") + array(5, [v[2] for v in vocabulary], lambda i: struct.pack("<i", i)),
        string("tokenizer.ggml.bos_token_id") + struct.pack("<II", 4, 1), string("tokenizer.ggml.eos_token_id") + struct.pack("<II", 4, 2),
        string("tokenizer.ggml.unknown_token_id") + struct.pack("<II", 4, 0),
        string("tokenizer.ggml.add_space_prefix") + struct.pack("<I?", 7, space_prefix),
    ]
    path = os.path.join(folder, "small.gguf")
    open(path, "wb").write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries))
    model = Llama(path, vocab_only=True, verbose=False)
    more = ["<turn>user<word>", "a<s>b</s>", "<unk>", "x<word>y <word> z", "a   b    c", "▁▁a▁b", " <turn> ", "<0x41>"]
    return [{"text": t, "ids_plain": model.tokenize(t.encode(), add_bos=False, special=False), "ids_bos_special": model.tokenize(t.encode(), add_bos=True, special=True)} for t in texts + more]

json.dump({"vocabulary": vocabulary, "with_space_prefix": encode(True), "without_space_prefix": encode(False)}, sys.stdout, ensure_ascii=True, separators=(",", ":"))
