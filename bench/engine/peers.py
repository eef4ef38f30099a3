"""The same training steps in PyTorch: peers.py '<case as JSON>' prints one line of JSON.

full, lora, pissa: transformers' Llama, plain or with PEFT, torch's AdamW, as the methods' users run them.
hd-pissa: a step as the authors' code computes it (https://github.com/MuLabPKU/HD-PiSSA): the dense product B A of
each module scaled by 1e-16, a second linear layer, autograd through both, Adam on the rescaled gradients, all-gather of
deltas and adapters, and every rank forms the whole update. K ranks are K processes joined by gloo.
"""
import json
import os
import resource
import sys
import time

case = json.loads(sys.argv[1])
size, rank_r, devices = case["size"], case["rank"], case["devices"]
ranks = devices if case["method"] == "hd-pissa" else 1
on_gpu = case.get("backend") == "cuda"
threads = max(1, case["threads"] // ranks)
os.environ["OMP_NUM_THREADS"] = str(threads)

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

if on_gpu:
    torch.backends.cuda.matmul.allow_tf32 = case["products"] == "TF32"
    torch.backends.cudnn.allow_tf32 = case["products"] == "TF32"
    torch.set_default_device("cuda")
narrow = case.get("computeDtype") == "bfloat16"
WARM_UP = 3
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make_model():
    torch.manual_seed(42)
    config = LlamaConfig(
        hidden_size=size["hidden"], intermediate_size=size["mlp"], num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"], num_key_value_heads=size.get("keyValueHeads", size["heads"]), vocab_size=size["vocabulary"],
        max_position_embeddings=4096, tie_word_embeddings=True, use_cache=False)
    return LlamaForCausalLM(config).float().train()


class MutedLinear(torch.nn.Module):
    MUTE = 1e-16

    def __init__(self, base):
        super().__init__()
        self.weight = base.weight
        self.weight.requires_grad_(False)
        out, inputs = base.weight.shape
        self.A = torch.nn.Parameter(torch.randn(rank_r, inputs) / inputs**0.5)
        self.B = torch.nn.Parameter(torch.randn(out, rank_r) / out**0.5)

    def forward(self, x):
        muted = self.B @ self.A * self.MUTE
        return F.linear(x, self.weight) + F.linear(x, muted)


def gathered(tensor):
    parts = [torch.empty_like(tensor) for _ in range(ranks)]
    dist.all_gather(parts, tensor.contiguous())
    return parts


class OfficialStep:
    """Adam on each rank's adapters, then W changes by the sum over ranks."""

    def __init__(self, model):
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.modules = []
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if name in TARGETS and isinstance(child, torch.nn.Linear):
                    muted = MutedLinear(child)
                    setattr(module, name, muted)
                    self.modules.append(muted)
        self.moments = [[torch.zeros_like(p) for p in (m.A, m.A, m.B, m.B)] for m in self.modules]
        self.t = 0

    def delta(self, p, m, v):
        g = p.grad / MutedLinear.MUTE
        m.mul_(0.9).add_(g, alpha=0.1)
        v.mul_(0.999).addcmul_(g, g, value=0.001)
        first, second = m / (1 - 0.9**self.t), v / (1 - 0.999**self.t)
        return 2e-5 * first / (second.sqrt() + 1e-8)

    @torch.no_grad()
    def step(self):
        self.t += 1
        for module, (ma, va, mb, vb) in zip(self.modules, self.moments):
            da, db = self.delta(module.A, ma, va), self.delta(module.B, mb, vb)
            if ranks > 1:
                das, dbs, As, Bs = gathered(da), gathered(db), gathered(module.A.data), gathered(module.B.data)
            else:
                das, dbs, As, Bs = [da], [db], [module.A.data], [module.B.data]
            change = torch.zeros_like(module.weight)
            for a, b, A, B in zip(das, dbs, As, Bs):
                change += b @ A + B @ a - b @ a
            module.weight.data -= change
            module.A.grad = module.B.grad = None


class TorchStep:
    def __init__(self, model):
        self.optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-5, weight_decay=0)

    def step(self):
        self.optimizer.step()
        self.optimizer.zero_grad()


def work(rank, port):
    torch.set_num_threads(threads)
    if ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        dist.init_process_group("gloo", rank=rank, world_size=ranks)
    model = make_model()
    if case["method"] in ("lora", "pissa"):
        from peft import LoraConfig, get_peft_model

        start = "pissa_niter_4" if case["method"] == "pissa" else True
        model = get_peft_model(
            model, LoraConfig(r=rank_r, lora_alpha=rank_r, target_modules=TARGETS, init_lora_weights=start))
    updates = OfficialStep(model) if case["method"] == "hd-pissa" else TorchStep(model)
    if case.get("compiled"):
        model = torch.compile(model)
    ids = torch.randint(size["vocabulary"], (size["batch"] // ranks, size["sequence"]))
    wall, processor = [], []
    for step in range(WARM_UP + case["steps"]):
        if ranks > 1:
            dist.barrier()
        start, used = time.perf_counter(), time.process_time()
        with torch.autocast("cuda" if on_gpu else "cpu", dtype=torch.bfloat16, enabled=narrow):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        updates.step()
        if on_gpu:
            torch.cuda.synchronize()
        if ranks > 1:
            dist.barrier()
        if step >= WARM_UP:
            wall.append((time.perf_counter() - start) * 1000)
            processor.append((time.process_time() - used) * 1000)
    mine = torch.tensor([processor, [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss] * len(processor)])
    if ranks > 1:
        dist.all_reduce(mine)
    if rank == 0:
        print(json.dumps({
            "wallMs": wall, "processorMs": (mine[0] / case["threads"]).tolist(),
            "peakWall": [], "peakProcessor": [], "peakRssBytes": int(mine[1][0]) * 1024,
            **({"peakDeviceBytes": torch.cuda.max_memory_allocated()} if on_gpu else {}),
            "description": f"torch {torch.__version__}"}))
    if ranks > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    if ranks == 1:
        work(0, 0)
    else:
        torch.multiprocessing.spawn(work, args=(20000 + os.getpid() % 20000,), nprocs=ranks)
