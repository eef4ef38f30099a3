"""
Writes gpu-node/src/tokenizer/reference.jsonl: what the Rust library `tokenizers` makes of small tokenizers and texts.
The suite holds our own reading of tokenizer.json to it, so it needs no Python.

    pip install tokenizers==0.23.2
    python bench/reference/tokenizers_cases.py > gpu-node/src/tokenizer/reference.jsonl

With --fuzz SEED it writes as many random texts per case instead, for a comparison that is not kept.
"""
import json
import random
import sys

from tokenizers import Tokenizer

TEXTS = [
    "Hello, world! It's 'S -- don't\n\n  stop... (now)",
    "a-b--c---d -x- ",
    "  two  spaces\tand\u00a0more\u0085\ufeff\u2003end  ",
    "12 345 \u0661\u0662 x\u00b2 \u00bd \u2167 3.14",
    "\u00c9cole e\u0301 \u03a3\u0391\u03a3 \ufb01 \u017f\u212a '\u017f'S I\u0130",
    "\u65e5\u672c\u8a9e\u3002\u4e2d \U0001f600\U0001f44d\U0001f3fd z\u200dz",
    "$5+3=8 <tag> ^~`|_ \u20ac\u00a1\u2014",
    "\u2581a \u2581\u2581b \u2581",
    "'\u017f\uac01 I'\u017F k\u212a\n\U0001f34e\n",
    "-",
    " ",
]
SYMBOLS = list("ab-' 1.,S\n\t$_") + [
    *["\u2581", "\u00e9", "e\u0301", "\u65e5", "\U0001f600", "\u0661", "\u00b2", "\ufeff", "\u0085", "\u00a0", "\u03a3"],
    *["<x>", "ab", "b-", "  ", "--", "'s", "12"],
]
if "--fuzz" in sys.argv:
    random.seed(int(sys.argv[sys.argv.index("--fuzz") + 1]))
    TEXTS = ["".join(random.choice(SYMBOLS) for _ in range(random.randint(1, 14))) for _ in range(300)]

BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def split(pattern, behavior, invert=False):
    kind = "Regex" if pattern != "-" else "String"
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def metaspace(scheme, cut, **more):
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": cut, **more}


def byte_level(prefix, regex):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(key, *nodes):
    return {"type": "Sequence", key: list(nodes)}


PRE_TOKENIZERS = [
    *[split(pattern, behavior, invert) for pattern in ["-", r"(\s+)|[.,]"] for behavior in BEHAVIORS for invert in [False, True]],
    *[split(pattern, "Isolated") for pattern in [LLAMA3, QWEN2, TEKKEN, r"\w+", r"\d|\W", r"'(?i:[sk]|ll)|(?i:k)", "$", r"^.", r"\B", r"a*", r"(?=\d)"]],
    *[{"type": "Punctuation", "behavior": behavior} for behavior in BEHAVIORS],
    *[{"type": "Digits", "individual_digits": each} for each in [False, True]],
    {"type": "Whitespace"},
    {"type": "WhitespaceSplit"},
    *[metaspace(scheme, cut) for scheme in ["always", "first", "never"] for cut in [False, True]],
    *[byte_level(prefix, regex) for prefix in [False, True] for regex in [False, True]],
    sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, byte_level(False, True)),
    sequence("pretokenizers", split(r"\s+", "Isolated"), metaspace("first", False)),
    sequence(
        "pretokenizers",
        sequence("pretokenizers", split(r"[\r\n]", "Isolated"), split(r"\s?\p{L}+", "Isolated"), split(r"\s?\p{P}+", "Isolated")),
        {"type": "Digits", "individual_digits": True},
        byte_level(False, False),
    ),
]
NORMALIZERS = [
    *[{"type": form} for form in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"]],
    *[{"type": "Strip", "strip_left": left, "strip_right": right} for left in [False, True] for right in [False, True]],
    {"type": "Prepend", "prepend": "\u2581"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "$&\u2581"},
    {"type": "Replace", "pattern": {"Regex": r"\s{2,}"}, "content": " "},
    *[{"type": "Replace", "pattern": {"Regex": regex}, "content": "_"} for regex in ["$", "a*", r"\Z", r"\B"]],
    sequence("normalizers", {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "NFD"}, {"type": "StripAccents"}),
]
TOKENS = ["\u2581Hel", "lo", "\u2581\u2581w", "<0xE2>", "<0x82>", "<0xAC>", "x", "<0xFF>", "<0xEF>", "\u2581", "a</w>", ",", "<0x0A>", "\u2581!"]
BYTE_TOKENS = ["Hel", "lo", "\u0120w", "\u00e2\u0124\u00ac", "<|end\u2014|>", "\u00e2\u0124", "\u010a", "z"]
DECODERS = [
    byte_level(True, True),
    *[metaspace(scheme, cut) for scheme in ["always", "first", "never"] for cut in [True]],
    {"type": "ByteFallback"},
    {"type": "Fuse"},
    {"type": "BPEDecoder", "suffix": "</w>"},
    {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
    {"type": "Strip", "content": "o", "start": 0, "stop": 1},
    {"type": "Strip", "content": "\u2581", "start": 5, "stop": 0},
    sequence(
        "decoders",
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ),
]


def added(id, content, **flags):
    base = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": id, "content": content, **base, **flags}


def definition(model, **parts):
    empty = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None}
    return {**empty, "pre_tokenizer": None, "post_processor": None, "decoder": None, **parts, "model": model}


def bpe(tokens, merges, **options):
    base = {"dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None}
    flags = {"fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    vocab = {token: id for id, token in enumerate(tokens)}
    return {"type": "BPE", **base, **flags, **options, "vocab": vocab, "merges": merges}


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LETTERS = ["<unk>", "</s>", "a", "b", "-", "\u2581", "ab", "\u2581a", "\u2581ab", "1", "e"]
MERGES = ["a b", "\u2581 a", "\u2581 ab"]
# A normalised token with its own space, one that eats spaces, words alone, longest match, after a normaliser.
ADDED = [
    added(11, "<x>", lstrip=True, rstrip=True),
    added(12, "<x>b"),
    added(13, "b-", normalized=True),
    added(14, "12", single_word=True),
    added(15, "'s", normalized=True, lstrip=True),
    added(16, "--", rstrip=True, single_word=True),
]
END = added(1, "</s>", special=True)
PIECES = [["<unk>", 0.0], ["</s>", 0.0], ["\u2581", -2.0], ["a", -3.0], ["b", -3.0], ["ab", -4.0], ["\u2581a", -4.5], ["\u2581ab", -9.0], ["-", -3.0], ["--", -6.0]]
TOKENIZERS = {
    "BPE, unknown characters apart": definition(bpe(LETTERS, MERGES, unk_token="<unk>"), added_tokens=[END]),
    "BPE, unknown characters in one, by pieces": definition(
        bpe(LETTERS, MERGES, unk_token="<unk>", fuse_unk=True), added_tokens=[END], pre_tokenizer={"type": "Whitespace"}
    ),
    "BPE without unknown token": definition(bpe(LETTERS, MERGES), added_tokens=[END], pre_tokenizer=metaspace("always", True)),
    "BPE with bytes": definition(
        bpe(LETTERS + BYTES, MERGES, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
        added_tokens=[END],
        normalizer=sequence("normalizers", {"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}),
        decoder=DECODERS[-1],
    ),
    "BPE with bytes for \u00e9 alone": definition(
        bpe(LETTERS + ["<0xC3>", "<0xA9>"], MERGES, unk_token="<unk>", fuse_unk=True, byte_fallback=True), added_tokens=[END]
    ),
    "BPE with bytes for \u00e9 alone, unknown characters apart": definition(
        bpe(LETTERS + ["<0xC3>", "<0xA9>"], MERGES, unk_token="<unk>", byte_fallback=True), added_tokens=[END]
    ),
    "BPE that prefers whole words": definition(
        bpe(LETTERS + ["ba", "bab"], ["a b", "b a"], ignore_merges=True), added_tokens=[END], pre_tokenizer={"type": "WhitespaceSplit"}
    ),
    "Unigram": definition({"type": "Unigram", "unk_id": 0, "vocab": PIECES, "byte_fallback": False}, added_tokens=[END], pre_tokenizer=metaspace("always", True), decoder=metaspace("always", True)),
    "Unigram with bytes": definition(
        {"type": "Unigram", "unk_id": 0, "vocab": PIECES + [[byte, -20.0] for byte in BYTES], "byte_fallback": True},
        added_tokens=[END], pre_tokenizer=metaspace("first", False), decoder=DECODERS[-1],
    ),
    "Unigram whose unknown token is a letter": definition({"type": "Unigram", "unk_id": 3, "vocab": PIECES, "byte_fallback": False}, added_tokens=[END]),
    "Unigram with bytes whose unknown token is a letter": definition(
        {"type": "Unigram", "unk_id": 3, "vocab": PIECES + [[byte, -20.0] for byte in BYTES], "byte_fallback": True}, added_tokens=[END]
    ),
    "WordLevel": definition(
        {"type": "WordLevel", "unk_token": "<unk>", "vocab": {token: id for id, token in enumerate(LETTERS)}},
        added_tokens=[END], pre_tokenizer={"type": "Whitespace"},
    ),
    "added tokens, raw text": definition(bpe(LETTERS, MERGES, unk_token="<unk>"), added_tokens=[END, *ADDED], pre_tokenizer=metaspace("first", False)),
    "added tokens, normalised text": definition(
        bpe(LETTERS, MERGES, unk_token="<unk>"), added_tokens=[END, *ADDED],
        normalizer=sequence("normalizers", {"type": "Lowercase"}, {"type": "Replace", "pattern": {"String": "1"}, "content": "b"}),
        pre_tokenizer=metaspace("always", False),
    ),
}


def pieces(node, text):
    # The type is no public constructor: a tokenizer reads the node.
    made = Tokenizer.from_str(json.dumps(definition(bpe(["a"], []), pre_tokenizer=node)))
    return [piece for piece, _ in made.pre_tokenizer.pre_tokenize_str(text)]


def normalized(node, text):
    made = Tokenizer.from_str(json.dumps(definition(bpe(["a"], []), normalizer=node)))
    return made.normalizer.normalize_str(text)


def decoded(node, tokens):
    made = Tokenizer.from_str(json.dumps(definition(bpe(["a"], []), decoder=node)))
    return made.decoder.decode(tokens)


def encoded(definition):
    made = Tokenizer.from_str(json.dumps(definition))
    texts = [*TEXTS, "ab\u00e9abba <x> ab<x>b- --12 a12 12 '\u00e9's", "<x>", " <x>ab\u00e9\u00e9 --", "bab ab </s>\n"]
    for text in texts:
        ids = made.encode(text, add_special_tokens=False).ids
        yield [text, ids, made.decode(ids, skip_special_tokens=True)]


cases = [
    *[{"normalizer": node, "cases": [[text, normalized(node, text)] for text in TEXTS]} for node in NORMALIZERS],
    *[{"preTokenizer": node, "cases": [[text, pieces(node, text)] for text in TEXTS]} for node in PRE_TOKENIZERS],
    *[{"decoder": node, "cases": [[tokens, decoded(node, tokens)] for tokens in [TOKENS, BYTE_TOKENS, ["<0xE2>", "a"]]]} for node in DECODERS],
    *[{"name": name, "definition": one, "cases": list(encoded(one))} for name, one in TOKENIZERS.items()],
]
for case in cases:
    print(json.dumps(case, ensure_ascii=False, separators=(",", ":")))
