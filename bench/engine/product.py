"""torch's float32 product: product.py '{"side": 1536, "rounds": 6, "threads": 2}' prints GFLOP/s over all threads as JSON."""
import json
import sys
import time

import torch

wish = json.loads(sys.argv[1])
side, threads = wish["side"], wish["threads"]
torch.set_num_threads(threads)
a, b = torch.randn(side, side), torch.randn(side, side)
best = {"wall": 0.0, "processor": 0.0}
for round in range(wish["rounds"] + 1):
    start, used = time.perf_counter(), time.process_time()
    torch.mm(a, b)
    wall, processor = time.perf_counter() - start, (time.process_time() - used) / threads
    if round > 0:
        best["wall"] = max(best["wall"], 2e-9 * side**3 / wall)
        best["processor"] = max(best["processor"], 2e-9 * side**3 / processor)
print(json.dumps(best))
