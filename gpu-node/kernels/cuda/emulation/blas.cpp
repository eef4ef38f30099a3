/*
 * A stand-in for cuBLAS: the same column-major prototypes over OpenBLAS, so that transposes, leading dimensions, strides
 * and types of our calls are checked, every operand against the allocation it lies in.
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

#include <functional>
#include <vector>

#include "shim.h"
#define API extern "C" __attribute__((visibility("default")))

API void *rs_emulated_real(const void *address, uint64_t bytes);
API void rs_emulated_enqueue(void *stream, std::function<void()> work);

namespace {
struct Handle {
  void *stream = nullptr;
  size_t workspace = 0;
  int mode = 0;
};
enum {
  OK = 0,
  INVALID_VALUE = 7,
  NOT_SUPPORTED = 15,
  R_32F = 0,
  R_64F = 1,
  R_16BF = 14,
  COMPUTE_32F = 68,
  COMPUTE_64F = 70,
  PEDANTIC = 69,
  TF32 = 77
};

/* A column-major matrix, each of a batch, as float32 in the precision that its type and the computation have. */
struct Operand {
  const void *address;
  int type, rows, columns, ld;
  long long stride;
  uint64_t bytes(int batch) const {
    return ((uint64_t)(batch - 1) * stride + (uint64_t)(columns - 1) * ld + rows) * (type == R_16BF ? 2 : 4);
  }
  std::vector<float> read(int number, bool tf32) const {
    std::vector<float> values((size_t)rows * columns);
    for (int j = 0; j < columns; j++)
      for (int i = 0; i < rows; i++) {
        long long at = number * stride + (long long)j * ld + i;
        float x = type == R_16BF ? __uint_as_float((uint32_t)((const uint16_t *)address)[at] << 16)
                                 : ((const float *)address)[at];
        values[(size_t)j * rows + i] = tf32 ? __uint_as_float(rs_emulated_tf32(x)) : x;
      }
    return values;
  }
};
}  // namespace

API int cublasCreate_v2(void **handle) {
  *handle = new Handle;
  return OK;
}
API int cublasDestroy_v2(void *handle) {
  delete (Handle *)handle;
  return OK;
}
API int cublasGetVersion_v2(void *, int *version) {
  *version = 130101;
  return OK;
}
API int cublasSetStream_v2(void *handle, void *stream) {
  ((Handle *)handle)->stream = stream;
  return OK;
}
API int cublasSetWorkspace_v2(void *handle, void *memory, size_t bytes) {
  rs_emulated_real(memory, bytes);
  ((Handle *)handle)->workspace = bytes;
  return OK;
}
API int cublasSetMathMode(void *handle, int mode) {
  ((Handle *)handle)->mode = mode;
  return OK;
}
API int cublasGemmStridedBatchedEx(void *opaque, int ta, int tb, int m, int n, int k, const void *alpha, const void *a,
                                   int a_type, int lda, long long stride_a, const void *b, int b_type, int ldb,
                                   long long stride_b, const void *beta, void *c, int c_type, int ldc,
                                   long long stride_c, int batch, int compute, int algorithm) {
  Handle *handle = (Handle *)opaque;
  if (!handle->workspace)
    fprintf(stderr, "CUDA emulation: cuBLAS without a workspace of its own is not reproducible\n"), abort();
  if (m < 0 || n < 0 || k < 0 || batch < 0 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m || ta > 1 || tb > 1)
    return INVALID_VALUE;
  if (a_type == R_64F) {
    if (b_type != R_64F || c_type != R_64F || compute != COMPUTE_64F || batch != 1) return NOT_SUPPORTED;
    double factor = *(const double *)alpha, keep = *(const double *)beta;
    rs_emulated_enqueue(handle->stream, [=] {
      auto real = [](const void *x, int rows, int columns, int ld) {
        return (double *)rs_emulated_real(x, ((uint64_t)(columns - 1) * ld + rows) * 8);
      };
      const double *x = real(a, ta ? k : m, ta ? m : k, lda), *y = real(b, tb ? n : k, tb ? k : n, ldb);
      cblas_dgemm(CblasColMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k, factor, x, lda, y,
                  ldb, keep, real(c, m, n, ldc), ldc);
    });
    return OK;
  }
  bool tf32 = compute == TF32;
  if (a_type != b_type || (a_type != R_32F && a_type != R_16BF) || c_type != R_32F || algorithm != -1)
    return NOT_SUPPORTED;
  if (compute != COMPUTE_32F && compute != PEDANTIC && !(tf32 && a_type == R_32F)) return NOT_SUPPORTED;
  if (m == 0 || n == 0 || batch == 0) return OK;
  Operand left = {a, a_type, ta ? k : m, ta ? m : k, lda, stride_a},
          right = {b, b_type, tb ? n : k, tb ? k : n, ldb, stride_b};
  Operand out = {c, R_32F, m, n, ldc, stride_c};
  float factor = *(const float *)alpha, keep = *(const float *)beta;
  if (batch > 1 && stride_c < (long long)ldc * (n - 1) + m) return INVALID_VALUE;
  rs_emulated_enqueue(handle->stream, [=] {
    Operand l = left, r = right;
    l.address = k ? rs_emulated_real(a, left.bytes(batch)) : nullptr;
    r.address = k ? rs_emulated_real(b, right.bytes(batch)) : nullptr;
    float *to = (float *)rs_emulated_real(c, out.bytes(batch));
    for (int i = 0; i < batch; i++) {
      auto x = l.read(i, tf32), y = r.read(i, tf32);
      float *z = to + i * stride_c;
      if (keep == 0)
        for (int j = 0; j < n; j++) memset(z + (size_t)j * ldc, 0, (size_t)m * 4);
      cblas_sgemm(CblasColMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k, factor,
                  x.data(), left.rows > 0 ? left.rows : 1, y.data(), right.rows > 0 ? right.rows : 1, keep, z, ldc);
    }
  });
  return OK;
}
