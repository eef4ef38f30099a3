"""The same start in PyTorch: peers.py '<{"shapes": [[rows, columns], ...], "threads": n} as JSON>' prints one line of JSON.

Every matrix is decomposed by torch.svd in float32, as the HD-PiSSA authors' code does on each rank
(https://github.com/MuLabPKU/HD-PiSSA) and PEFT does for PiSSA.
"""
import json
import os
import sys
import time

case = json.loads(sys.argv[1])
os.environ["OMP_NUM_THREADS"] = str(case["threads"])

import torch  # noqa: E402

torch.set_num_threads(case["threads"])
torch.manual_seed(42)
matrices = {shape: torch.randn(*shape) * 0.02 for shape in {tuple(shape) for shape in case["shapes"]}}
torch.svd(matrices[tuple(case["shapes"][0])])
start, used = time.perf_counter(), time.process_time()
for shape in case["shapes"]:
    torch.svd(matrices[tuple(shape)])
print(json.dumps({
    "seconds": time.perf_counter() - start, "processorSeconds": time.process_time() - used,
    "description": f"torch {torch.__version__}"}))
