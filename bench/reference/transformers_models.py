"""
Writes gpu-node/src/model/reference.jsonl: the losses that transformers computes for small models of every supported shape.

    pip install torch transformers==5.18.0
    python bench/reference/transformers_models.py > gpu-node/src/model/reference.jsonl

A line holds config.json as it stands on disk, the token ids and the loss. The weights follow from the tensors' names by a
rule that the suite knows as well, so that no file of weights is kept and the suite needs no Python.

    python bench/reference/transformers_models.py --exports FOLDER

loads each model below FOLDER, which bench/transformers.ts wrote with `expected.json` beside it, and prints what it computes.
"""
import json
import os
import sys
import tempfile

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 29,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
IDS = [1, 17, 4, 22, 9, 9, 13, 28, 5, 3, 11, 26, 7, 19, 8, 24, 15, 6, 21, 10, 27, 12, 18, 2]
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
YARN = {"factor": 4.0, "original_max_position_embeddings": 16}


def case(model_type, **more):
    return {"model_type": model_type, **SHAPE, **more}


def scaled(**scaling):
    return case("llama", rope_theta=10000.0, head_dim=8, rope_scaling=scaling)


MIXED = ["sliding_attention", "full_attention", "sliding_attention"]
CASES = {
    "llama": case("llama"),
    "llama, tied": case("llama", tie_word_embeddings=True),
    "llama, heads of their own size": case("llama", head_dim=6, rope_theta=500000.0),
    "llama, keys of transformers 5": case("llama", rope_parameters={"rope_type": "default", "rope_theta": 777.0}),
    "llama, attention bias": case("llama", attention_bias=True),
    "llama, attention and MLP bias": case("llama", attention_bias=True, mlp_bias=True),
    "llama, window without effect": case("llama", sliding_window=3),
    "llama3 scaling": scaled(rope_type="llama3", **LLAMA3),
    "llama3 scaling, keys of transformers 5": case("llama", rope_parameters={"rope_type": "llama3", "rope_theta": 500.0, **LLAMA3}),
    "linear scaling": scaled(type="linear", factor=2.5),
    "theta inside rope_scaling": case("llama", rope_scaling={"rope_type": "linear", "factor": 2.0, "rope_theta": 300.0}),
    "dynamic scaling within the context": scaled(type="dynamic", factor=3.0),
    "dynamic scaling beyond the context": {**scaled(rope_type="dynamic", factor=3.0), "max_position_embeddings": 10},
    "YaRN": scaled(rope_type="yarn", **YARN),
    "YaRN without the original length": scaled(rope_type="yarn", factor=2.0),
    "YaRN, its own attention factor": scaled(rope_type="yarn", attention_factor=1.3, beta_fast=8, beta_slow=2, **YARN),
    "YaRN, mscale": scaled(rope_type="yarn", mscale=0.7, mscale_all_dim=1.2, **YARN),
    "YaRN, borders between dimensions": {**scaled(rope_type="yarn", truncate=False, beta_fast=3, **YARN), "head_dim": 16},
    "mistral": case("mistral", sliding_window=5),
    "mistral without window": case("mistral", sliding_window=None),
    "mistral, window left out": case("mistral"),
    "qwen2": case("qwen2"),
    "qwen2, window switched off": case("qwen2", sliding_window=5, max_window_layers=1),
    "qwen2, window in upper layers": case("qwen2", sliding_window=5, use_sliding_window=True, max_window_layers=1),
    "qwen2, layer types": case("qwen2", sliding_window=5, use_sliding_window=True, max_window_layers=3, layer_types=MIXED),
    "qwen2, YaRN": case("qwen2", head_dim=8, rope_theta=1e6, rope_scaling={"type": "yarn", **YARN}),
    "qwen3": case("qwen3", head_dim=8),
    "qwen3, head size left out": case("qwen3"),
    "qwen3, tied, attention bias": case("qwen3", head_dim=8, attention_bias=True, tie_word_embeddings=True, rope_theta=1e6),
    "qwen3, layer types": case("qwen3", head_dim=8, sliding_window=4, use_sliding_window=True, layer_types=MIXED),
    "qwen3, YaRN": case("qwen3", head_dim=8, rope_scaling={"rope_type": "yarn", **YARN}),
}


def values(name, count):
    """Uniform numbers from a linear congruential generator that the tensor's name seeds (FNV-1a)."""
    state = 2166136261
    for byte in name.encode():
        state = ((state ^ byte) * 16777619) % 2**32
    center, width = (1.0, 0.5) if name.endswith("norm.weight") else (0.0, 0.8)
    result = []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        result.append(center + width * (state / 2**32 - 0.5))
    return result


def loss_of(folder, ids):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        rows = torch.tensor([ids])
        return model(input_ids=rows, labels=rows).loss.item()


def write(folder, config):
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    names = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        names.pop("lm_head.weight", None)
    tensors = {name: torch.tensor(values(name, shape.numel())).reshape(shape) for name, shape in names.items()}
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


if len(sys.argv) > 2 and sys.argv[1] == "--exports":
    for name in sorted(os.listdir(sys.argv[2])):
        folder = os.path.join(sys.argv[2], name)
        with open(os.path.join(folder, "expected.json")) as file:
            ids = json.load(file)["ids"]
        print(json.dumps({"name": name, "loss": loss_of(folder, ids)}), flush=True)
else:
    for name, config in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            write(folder, config)
            print(json.dumps({"name": name, "config": config, "ids": IDS, "loss": loss_of(folder, IDS)}), flush=True)
