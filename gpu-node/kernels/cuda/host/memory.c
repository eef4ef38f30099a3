/* Memory of the device: blocks of tensors, and scratch memory that stays. */
#include "device.h"

static int (*give_back)(void);

/* Asked, on the thread that calls, for memory back where there is none left; 0: it has nothing more. */
RS_API int rs_when_short(int (*ask)(void)) {
  give_back = ask;
  return RS_OK;
}

void *rs_allocate(int64_t bytes) {
  Device memory = 0;
  size_t free_bytes = 0, all = 0;
  if (bytes < 1) return rs_fail(RS_BAD_ARGUMENT, "%lld bytes asked for", (long long)bytes), NULL;
  int status = cuda.cuMemAlloc_v2(&memory, (size_t)bytes);
  while (status == CUDA_ERROR_OUT_OF_MEMORY && give_back && give_back()) status = cuda.cuMemAlloc_v2(&memory, (size_t)bytes);
  if (status == CUDA_ERROR_OUT_OF_MEMORY) {
    cuda.cuMemGetInfo_v2(&free_bytes, &all);
    rs_fail(RS_OUT_OF_MEMORY, "%s: %lld bytes wanted, %zu of %zu free", device_name, (long long)bytes, free_bytes, all);
  } else if (status)
    rs_check(status, "allocation");
  return (void *)(uintptr_t)memory;
}
int rs_release(void *block, int64_t bytes) {
  (void)bytes;
  return rs_check(cuda.cuMemFree_v2((Device)(uintptr_t)block), "release");
}
RS_API int rs_memory(int64_t *free_bytes, int64_t *all_bytes) {
  size_t free_size, all;
  TRY(rs_check(cuda.cuMemGetInfo_v2(&free_size, &all), "memory"));
  *free_bytes = (int64_t)free_size;
  *all_bytes = (int64_t)all;
  return RS_OK;
}

void *rs_scratch(int slot, int64_t bytes) {
  static struct {
    void *memory;
    int64_t bytes;
  } slots[SCRATCH_SLOTS];
  bytes = rs_max(bytes, 1);
  if (slots[slot].bytes < bytes) {
    if (slots[slot].memory) rs_release(slots[slot].memory, slots[slot].bytes); /* waits for what still uses it */
    slots[slot].memory = rs_allocate(bytes);
    slots[slot].bytes = slots[slot].memory ? bytes : 0;
  }
  return slots[slot].memory;
}
