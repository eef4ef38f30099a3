"""Whether Transformers and PEFT load what Rankscope exports, and whether they agree on what it computes.

    python3 bench/reference/exports_check.py MODEL ADAPTER [ADAPTER …]

MODEL is a merged model, each ADAPTER an adapter of the same run; both are folders that `npm run export` wrote. Every adapter
is loaded by AutoPeftModelForCausalLM, which finds the base by the name in adapter_config.json. Prints, as JSON, the largest
difference of the logits of each adapter from those of the merged model, and the largest change that training made at all.
"""
import json
import sys

import torch
from peft import AutoPeftModelForCausalLM, PeftConfig
from transformers import AutoModelForCausalLM


def logits(model, tokens):
    with torch.no_grad():
        return model.eval()(input_ids=tokens).logits.double()


def main(merged_folder, adapters):
    torch.manual_seed(1)
    load = dict(dtype=torch.float32)
    merged = AutoModelForCausalLM.from_pretrained(merged_folder, **load)
    tokens = torch.randint(1, merged.config.vocab_size, (2, 24))
    expected = logits(merged, tokens)
    base = PeftConfig.from_pretrained(adapters[0]).base_model_name_or_path
    changed = (logits(AutoModelForCausalLM.from_pretrained(base, **load), tokens) - expected).abs().max().item()
    differences = {
        folder: (logits(AutoPeftModelForCausalLM.from_pretrained(folder, **load), tokens) - expected).abs().max().item()
        for folder in adapters
    }
    print(json.dumps({"changed": changed, "differences": differences}))


main(sys.argv[1], sys.argv[2:])
