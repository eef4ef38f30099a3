/* What the CUDA build's host side shares inside. */
#ifndef RS_DEVICE_H
#define RS_DEVICE_H
#include <stddef.h>

#include "../../rankscope.h"
#include "../kernels.h"
#include "libraries.h"

/* Beyond those of rankscope.h; the last five are reasons why a device cannot be started (rs_start). */
enum { RS_DEVICE_FAILED = 3, RS_NOT_CONVERGED, RS_NO_CUSOLVER, RS_NO_DRIVER = 10, RS_NO_DEVICE, RS_TOO_OLD, RS_NO_CUBLAS, RS_NO_KERNELS };

#define RS_KERNEL_NUMBER(name, type) KERNEL_##name,
enum { RS_KERNELS(RS_KERNEL_NUMBER) KERNELS };

extern Cuda cuda;
extern Cublas cublas;
extern Cusolver cusolver;
extern void *stream, *blas;
extern int products, operands; /* of rs_set_products, rs_set_operands */
extern char device_name[96];

int rs_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* RS_OK, or what the driver said about `what`. */
int rs_check(int status, const char *what);
int rs_check_blas(int status, const char *what);
/* The first that opens of paths separated by newlines. */
int rs_open_cusolver(const char *paths);
/* A handle on a stream, with a workspace of its own. */
int rs_open_blas_handle(void **handle, void *on_stream);
int rs_bind_thread(void);
/* 0 where the device does not say. */
int rs_attribute(int attribute);
int rs_launch(int kernel, int64_t x, int64_t y, int64_t z, int threads, int64_t shared_bytes, const void *parameters);
/* Who uses scratch memory, each a slot of its own. */
enum {
  SCRATCH_PARTS,    /* of sums, scores of cached attention */
  SCRATCH_SUM,      /* of squares */
  SCRATCH_ADAPTER,  /* products between adapters and their gradients */
  SCRATCH_MORA,     /* compressed inputs and outputs */
  SCRATCH_DELTA,    /* of attention's backward pass */
  SCRATCH_NARROW,   /* operands in bfloat16, of one product */
  SCRATCH_TWICE,    /* operands in bfloat16, of several products */
  SCRATCH_SPLIT,    /* operands in two TF32 parts */
  SCRATCH_SLOTS
};
/* Device memory that lasts until the next call with the same slot; NULL when there is none. */
void *rs_scratch(int slot, int64_t bytes);
/* The bfloat16 copy that is kept of at least `count` elements from x on; NULL where there is none. */
const uint16_t *rs_kept_bfloat16(const float *x, int64_t count);
int rs_keep_bfloat16(const float *x, int64_t count, void *copy);
int rs_forget_bfloat16(const float *x);
/* products.c */
int rs_gemm_left_float32(int transpose_a, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float beta,
                         float *c);
/* A copy on the device of what the host holds; good for work that is enqueued before 64 MiB more have been staged. */
const void *rs_stage(const void *host, int64_t bytes);
/* out [columns] = sum over rows of x * y * scale [rows]; y and scale may be NULL. */
int rs_weighted_column_sum(float *out, const float *x, const float *y, const float *scale, int64_t rows,
                           int64_t columns);
/* Blocks for a loop over all elements. */
int64_t rs_blocks(int64_t count);
/* Threads for a block that goes along a row. */
int rs_threads_for(int64_t width);

static inline int64_t rs_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t rs_max(int64_t a, int64_t b) { return a > b ? a : b; }

#define TRY(call) \
  do { \
    int rs_status = (call); \
    if (rs_status != RS_OK) return rs_status; \
  } while (0)
/* Launches kernel `name` with parameters by member name; a grid without blocks is nothing to do. */
#define LAUNCH(name, x, y, z, threads, shared, ...) \
  rs_launch(KERNEL_##name, x, y, z, threads, shared, &(Parameters_##name){__VA_ARGS__})
/* One thread per element, up to what fills the device. */
#define LAUNCH_EACH(name, count, ...) \
  ((count) == 0 ? RS_OK : LAUNCH(name, rs_blocks(count), 1, 1, RS_BLOCK, 0, __VA_ARGS__))
#endif
