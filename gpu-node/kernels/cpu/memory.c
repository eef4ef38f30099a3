/* Memory for tensors. Large blocks come from the system page by page, so that giving one back really frees it. */
#include <sys/mman.h>

#include "common.h"

/* From this size on a block has its own mapping; below, malloc is quicker and wastes less. */
#define MAPPED_BYTES ((int64_t)1 << 20)
#define HUGE_PAGE_BYTES ((int64_t)1 << 21)

static int64_t mapped_size(int64_t bytes) {
  int64_t unit = bytes >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : 4096;
  return (bytes + unit - 1) / unit * unit;
}

/* Maps `size` bytes aligned to a huge page: maps more and cuts off both ends. */
static void *map_aligned(int64_t size) {
  char *block = mmap(NULL, (size_t)(size + HUGE_PAGE_BYTES), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return NULL;
  int64_t ahead = (int64_t)(-(uintptr_t)block & (uintptr_t)(HUGE_PAGE_BYTES - 1));
  if (ahead > 0) munmap(block, (size_t)ahead);
  if (ahead < HUGE_PAGE_BYTES) munmap(block + ahead + size, (size_t)(HUGE_PAGE_BYTES - ahead));
#if defined(MADV_HUGEPAGE)
  madvise(block + ahead, (size_t)size, MADV_HUGEPAGE);
#endif
  return block + ahead;
}

void *rs_allocate(int64_t bytes) {
  void *block = NULL;
  if (bytes < 1) {
    rs_fail(RS_BAD_ARGUMENT, "%lld bytes asked for", (long long)bytes);
    return NULL;
  }
  if (bytes < MAPPED_BYTES) {
    if (posix_memalign(&block, 64, (size_t)bytes) != 0) block = NULL;
  } else if (bytes < HUGE_PAGE_BYTES) {
    block = mmap(NULL, (size_t)mapped_size(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) block = NULL;
  } else {
    block = map_aligned(mapped_size(bytes));
  }
  if (block == NULL) rs_fail(RS_OUT_OF_MEMORY, "the system has no %lld bytes left", (long long)bytes);
  return block;
}

int rs_release(void *block, int64_t bytes) {
  if (bytes < MAPPED_BYTES) {
    free(block);
  } else if (munmap(block, (size_t)mapped_size(bytes)) != 0) {
    return rs_fail(RS_BAD_ARGUMENT, "a block of %lld bytes is not one of rs_allocate", (long long)bytes);
  }
  return RS_OK;
}

/* Host and device are one here. */
int rs_copy(void *to, const void *from, int64_t bytes) {
  memcpy(to, from, (size_t)bytes);
  return RS_OK;
}

int rs_upload(void *to, const void *from, int64_t bytes) { return rs_copy(to, from, bytes); }

int rs_download(void *to, const void *from, int64_t bytes) { return rs_copy(to, from, bytes); }

int rs_fill(float *x, int64_t count, float value) {
#pragma omp parallel for simd schedule(static) num_threads(rs_team(count, RS_STREAM_GRAIN))
  for (int64_t i = 0; i < count; i++) x[i] = value;
  return RS_OK;
}

int rs_copy_rows(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows,
                 int64_t width) {
#pragma omp parallel for schedule(static) num_threads(rs_team(rows * width, RS_STREAM_GRAIN))
  for (int64_t row = 0; row < rows; row++)
    memcpy(to + row * to_stride, from + row * from_stride, (size_t)width * sizeof(float));
  return RS_OK;
}

/*
 * Blocks that scratch memory was taken from stay with their thread: a kernel asks for the same sizes at every step, and
 * fresh pages cost more than many kernels do.
 */
#define KEPT_BLOCKS 4

typedef struct {
  int64_t bytes;
  int64_t in_use;
} ScratchHeader;

static _Thread_local ScratchHeader *kept[KEPT_BLOCKS];

static float *contents(ScratchHeader *block) { return (float *)((char *)block + 64); }

float *rs_scratch(int64_t count) {
  int64_t bytes = rs_max(count, 1) * (int64_t)sizeof(float) + 64;
  int slot = -1;
  for (int i = 0; i < KEPT_BLOCKS; i++) {
    if (kept[i] != NULL && kept[i]->in_use) continue;
    if (kept[i] != NULL && kept[i]->bytes >= bytes) {
      kept[i]->in_use = 1;
      return contents(kept[i]);
    }
    slot = i;
  }
  ScratchHeader *block = rs_allocate(bytes);
  if (block == NULL) return NULL;
  block->bytes = bytes;
  block->in_use = 1;
  if (slot >= 0) {
    if (kept[slot] != NULL) rs_release(kept[slot], kept[slot]->bytes);
    kept[slot] = block;
  }
  return contents(block);
}

void rs_scratch_free(float *memory) {
  if (memory == NULL) return;
  ScratchHeader *block = (ScratchHeader *)((char *)memory - 64);
  for (int i = 0; i < KEPT_BLOCKS; i++)
    if (kept[i] == block) {
      block->in_use = 0;
      return;
    }
  rs_release(block, block->bytes);
}
