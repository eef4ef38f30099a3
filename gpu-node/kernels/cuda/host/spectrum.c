/*
 * Singular values of after - before in float64 on a stream and in memory of their own, so that training goes on.
 *
 * cusolverDnXgesvd (bidiagonalisation, then QR) and not gesvdp, which adds a perturbation to values near zero, nor the
 * Gram matrix, which loses all below 1e-8 of the largest: the tail of the spectrum is what the product measures.
 */
#include "device.h"

static void *own_stream, *solver, *parameters, *begin, *end;
static Device memory;

/*
 * To be called on a thread beside JavaScript's (koffi's async): cuSOLVER waits for its stream inside. The values,
 * largest first, arrive in `values` (pinned memory) when rs_spectrum_ready says so.
 */
RS_API int rs_begin_spectrum(const char *library, double *values, const float *after, const float *before, int64_t rows,
                             int64_t columns) {
  /* Row-major [rows, columns] is column-major [columns, rows]; the solver wants at least as many rows as columns. */
  int64_t m = rs_max(rows, columns), n = rs_min(rows, columns), count = m * n;
  size_t on_device = 0, on_host = 0;
  TRY(rs_bind_thread());
  if (memory) return rs_fail(RS_BAD_ARGUMENT, "a spectrum is under way");
  if (!solver) {
    TRY(rs_open_cusolver(library));
    TRY(rs_check(cuda.cuStreamCreate(&own_stream, CU_STREAM_NON_BLOCKING), "stream"));
    TRY(rs_check(cuda.cuEventCreate(&begin, CU_EVENT_DISABLE_TIMING), "event"));
    TRY(rs_check(cuda.cuEventCreate(&end, CU_EVENT_DISABLE_TIMING), "event"));
    if (cusolver.cusolverDnCreate(&solver) || cusolver.cusolverDnCreateParams(&parameters) ||
        cusolver.cusolverDnSetStream(solver, own_stream))
      return rs_fail(RS_DEVICE_FAILED, "cuSOLVER does not start");
  }
  int wide = columns > rows, type = CUDA_R_64F;
  if (cusolver.cusolverDnXgesvd_bufferSize(solver, parameters, 'N', 'N', m, n, type, NULL, m, type, NULL, type, NULL, m,
                                           type, NULL, n, type, &on_device, &on_host))
    return rs_fail(RS_DEVICE_FAILED, "cuSOLVER refuses %lld x %lld", (long long)m, (long long)n);
  int64_t values_at = count * 8, work_at = values_at + (n * 8 + 255) / 256 * 256,
          info_at = work_at + ((int64_t)on_device + 255) / 256 * 256;
  TRY(rs_check(cuda.cuMemAlloc_v2(&memory, (size_t)info_at + 256), "memory for the spectrum"));
  char *base = (char *)(uintptr_t)memory;
  static char host_work[1 << 20];
  if (on_host > sizeof host_work) return rs_fail(RS_DEVICE_FAILED, "cuSOLVER wants %zu bytes on the host", on_host);
  /* The difference is taken on the training stream, which soon changes `after`; all else on the own one. */
  float *turned = NULL;
  if (!wide && rows != columns) { /* tall: column-major it must be transposed */
    turned = rs_scratch(SCRATCH_SPECTRUM, 2 * count * 4);
    if (!turned) return RS_OUT_OF_MEMORY;
    TRY(LAUNCH(transpose, (columns + 31) / 32, (rows + 31) / 32, 1, RS_BLOCK, 0, .to = turned, .from = after,
               .rows = rows, .width = columns));
    if (before)
      TRY(LAUNCH(transpose, (columns + 31) / 32, (rows + 31) / 32, 1, RS_BLOCK, 0, .to = turned + count, .from = before,
                 .rows = rows, .width = columns));
    after = turned;
    before = before ? turned + count : NULL;
  }
  TRY(LAUNCH_EACH(difference, count, .out = (double *)base, .after = after, .before = before, .count = count));
  TRY(rs_check(cuda.cuEventRecord(begin, stream), "event"));
  TRY(rs_check(cuda.cuStreamWaitEvent(own_stream, begin, 0), "event"));
  int status = cusolver.cusolverDnXgesvd(solver, parameters, 'N', 'N', m, n, type, base, m, type, base + values_at,
                                         type, NULL, m, type, NULL, n, type, base + work_at, on_device, host_work,
                                         on_host, (int *)(base + info_at));
  if (status) return rs_fail(RS_DEVICE_FAILED, "cuSOLVER status %d", status);
  TRY(rs_check(cuda.cuMemcpyDtoHAsync_v2(values, memory + (Device)values_at, (size_t)n * 8, own_stream),
               "singular values"));
  return rs_check(cuda.cuEventRecord(end, own_stream), "event");
}

RS_API int rs_spectrum_ready(void) { return cuda.cuEventQuery(end) == 0; }
RS_API int rs_end_spectrum(void) {
  TRY(rs_check(cuda.cuEventSynchronize(end), "spectrum"));
  TRY(rs_check(cuda.cuMemFree_v2(memory), "release"));
  memory = 0;
  return RS_OK;
}
