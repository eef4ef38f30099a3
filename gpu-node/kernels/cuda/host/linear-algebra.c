/*
 * Linear algebra in float64 on the device, beside training: on a stream of lower priority, with memory and handles of its
 * own, for threads beside JavaScript's, one call at a time. Calls wait for their results.
 *
 * Singular values by cusolverDnXgesvd (bidiagonalisation, then QR) and not gesvdp, which adds a perturbation to values near
 * zero, nor the Gram matrix, which loses all below 1e-8 of the largest: the tail of the spectrum is what the product measures.
 */
#include "device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static void *own_stream, *own_blas, *solver, *parameters;
static char candidates[8192];

/* Device memory, which stays: giving it back would wait for training. */
static Device arena;
static int64_t arena_bytes, arena_used;

/* Paths of cuSOLVER, separated by newlines, best first. */
RS_API int rs_name_cusolver(const char *paths) {
  if (strlen(paths) >= sizeof candidates) return rs_fail(RS_BAD_ARGUMENT, "too many folders to look for cuSOLVER in");
  strcpy(candidates, paths);
  return RS_OK;
}

static int check_solver(int status, const char *what) {
  return status == 0 ? RS_OK : rs_fail(RS_DEVICE_FAILED, "%s: cuSOLVER status %d", what, status);
}

static int start(void) {
  if (!stream) return rs_fail(RS_NO_DEVICE, "this process computes on no NVIDIA GPU");
  TRY(rs_bind_thread());
  if (parameters) return RS_OK;
  TRY(rs_open_cusolver(candidates));
  if (!own_stream) TRY(rs_check(cuda.cuStreamCreateWithPriority(&own_stream, CU_STREAM_NON_BLOCKING, 0), "stream"));
  if (!own_blas) TRY(rs_open_blas_handle(&own_blas, own_stream));
  if (!solver) TRY(check_solver(cusolver.cusolverDnCreate(&solver), "cusolverDnCreate"));
  TRY(check_solver(cusolver.cusolverDnSetStream(solver, own_stream), "cusolverDnSetStream"));
  return check_solver(cusolver.cusolverDnCreateParams(&parameters), "cusolverDnCreateParams");
}

static int64_t aligned(int64_t bytes) { return (bytes + 255) / 256 * 256; }

/* Makes room for the calls of `take` to come. */
static int reserve(int64_t bytes) {
  arena_used = 0;
  if (bytes <= arena_bytes) return RS_OK;
  if (arena) TRY(rs_check(cuda.cuMemFree_v2(arena), "release"));
  arena = 0;
  arena_bytes = 0;
  TRY(rs_check(cuda.cuMemAlloc_v2(&arena, (size_t)bytes), "memory for linear algebra"));
  arena_bytes = bytes;
  return RS_OK;
}
static void *take(int64_t bytes) {
  void *place = (void *)(uintptr_t)(arena + (Device)arena_used);
  arena_used += aligned(bytes);
  return place;
}

static int to_device(void *to, const double *from, int64_t count) {
  return rs_check(cuda.cuMemcpyHtoDAsync_v2((Device)(uintptr_t)to, from, (size_t)count * 8, own_stream), "upload");
}
static int to_host(void *to, const void *from, int64_t bytes) {
  return rs_check(cuda.cuMemcpyDtoHAsync_v2(to, (Device)(uintptr_t)from, (size_t)bytes, own_stream), "download");
}
/* Waits for the results; `info` is what a solver said of its work. */
static int finish(const int *on_device, const char *what) {
  int info = 0;
  if (on_device) TRY(to_host(&info, on_device, sizeof info));
  TRY(rs_check(cuda.cuStreamSynchronize(own_stream), what));
  return info == 0 ? RS_OK : rs_fail(RS_NOT_CONVERGED, "%s did not converge (%d)", what, info);
}

/*
 * A wide row-major a [rows, columns] is a tall column-major [columns, rows], which is what the solver takes: its left
 * vectors are those of the columns of a. With u NULL: values alone.
 */
static int decompose(double *u, double *s, double *vt, const double *a, int64_t rows, int64_t columns) {
  size_t on_device = 0, on_host = 0;
  int64_t m = columns, n = rows, type = CUDA_R_64F;
  signed char job = u ? 'S' : 'N';
  if (rows > columns) return rs_fail(RS_BAD_ARGUMENT, "%lld x %lld is taller than wide", (long long)rows, (long long)columns);
  TRY(start());
  TRY(check_solver(cusolver.cusolverDnXgesvd_bufferSize(solver, parameters, job, job, m, n, (int)type, NULL, m, (int)type,
                                                        NULL, (int)type, NULL, m, (int)type, NULL, n, (int)type,
                                                        &on_device, &on_host),
                   "singular values"));
  TRY(reserve(aligned(m * n * 8) * (u ? 2 : 1) + aligned(n * 8) + (u ? aligned(n * n * 8) : 0) +
              aligned((int64_t)on_device) + 256));
  double *matrix = take(m * n * 8), *values = take(n * 8), *left = u ? take(m * n * 8) : NULL,
         *right = u ? take(n * n * 8) : NULL;
  void *work = take((int64_t)on_device), *host_work = malloc(on_host + 1);
  int *info = take(sizeof *info);
  if (!host_work) return rs_fail(RS_OUT_OF_MEMORY, "no memory for cuSOLVER's %zu bytes", on_host);
  int status = to_device(matrix, a, m * n);
  if (status == RS_OK)
    status = check_solver(cusolver.cusolverDnXgesvd(solver, parameters, job, job, m, n, (int)type, matrix, m, (int)type,
                                                    values, (int)type, left, m, (int)type, right, n, (int)type, work,
                                                    on_device, host_work, on_host, info),
                          "singular values");
  if (status == RS_OK) status = to_host(s, values, n * 8);
  if (status == RS_OK && u) status = to_host(u, right, n * n * 8);
  if (status == RS_OK && u) status = to_host(vt, left, m * n * 8);
  int end = finish(status == RS_OK ? info : NULL, "singular values");
  free(host_work);
  return status == RS_OK ? end : status;
}

/* Row-major out = op(left) op(right). */
static int multiply(double *out, const double *left, const double *right, int64_t rows, int64_t inner, int64_t columns,
                    int transpose_left, int transpose_right) {
  const double one = 1, none = 0;
  TRY(start());
  TRY(reserve(aligned(rows * inner * 8) + aligned(inner * columns * 8) + aligned(rows * columns * 8)));
  double *a = take(rows * inner * 8), *b = take(inner * columns * 8), *c = take(rows * columns * 8);
  TRY(to_device(a, left, rows * inner));
  TRY(to_device(b, right, inner * columns));
  TRY(rs_check_blas(cublas.cublasGemmStridedBatchedEx(
                        own_blas, transpose_right ? CUBLAS_OP_T : CUBLAS_OP_N, transpose_left ? CUBLAS_OP_T : CUBLAS_OP_N,
                        (int)columns, (int)rows, (int)inner, &one, b, CUDA_R_64F, (int)(transpose_right ? inner : columns),
                        0, a, CUDA_R_64F, (int)(transpose_left ? rows : inner), 0, &none, c, CUDA_R_64F, (int)columns, 0, 1,
                        CUBLAS_COMPUTE_64F, CUBLAS_GEMM_DEFAULT),
                    "product in float64"));
  TRY(to_host(out, c, rows * columns * 8));
  return finish(NULL, "product in float64");
}

/* All eigenpairs of a symmetric matrix, ascending; the last `count` of them are handed out, vectors one after the other. */
static int top_eigen(double *values, double *vectors, const double *symmetric, int64_t n, int64_t count) {
  size_t on_device = 0, on_host = 0;
  int type = CUDA_R_64F;
  TRY(start());
  TRY(check_solver(cusolver.cusolverDnXsyevd_bufferSize(solver, parameters, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_LOWER,
                                                        n, type, NULL, n, type, NULL, type, &on_device, &on_host),
                   "eigenvectors"));
  TRY(reserve(aligned(n * n * 8) + aligned(n * 8) + aligned((int64_t)on_device) + 256));
  double *matrix = take(n * n * 8), *found = take(n * 8);
  void *work = take((int64_t)on_device), *host_work = malloc(on_host + 1);
  int *info = take(sizeof *info);
  if (!host_work) return rs_fail(RS_OUT_OF_MEMORY, "no memory for cuSOLVER's %zu bytes", on_host);
  int status = to_device(matrix, symmetric, n * n);
  if (status == RS_OK)
    status = check_solver(cusolver.cusolverDnXsyevd(solver, parameters, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_LOWER, n,
                                                    type, matrix, n, type, found, type, work, on_device, host_work, on_host,
                                                    info),
                          "eigenvectors");
  if (status == RS_OK) status = to_host(values, found + (n - count), count * 8);
  if (status == RS_OK) status = to_host(vectors, matrix + (n - count) * n, count * n * 8);
  int end = finish(status == RS_OK ? info : NULL, "eigenvectors");
  free(host_work);
  return status == RS_OK ? end : status;
}

static int alone(int status) {
  pthread_mutex_unlock(&one_at_a_time);
  return status;
}
#define ALONE(call) (pthread_mutex_lock(&one_at_a_time), alone(call))

/* RS_OK where the calls below can be made; else what is missing. */
RS_API int rs_linear_algebra(void) { return ALONE(start()); }
/* s [rows] of a [rows, columns], rows <= columns, descending. */
RS_API int rs_singular_values(double *s, const double *a, int64_t rows, int64_t columns) {
  return ALONE(decompose(NULL, s, NULL, a, rows, columns));
}
/* a = u diag(s) vt for a [rows, columns], rows <= columns: u [rows, rows], vt [rows, columns]. */
RS_API int rs_svd(double *u, double *s, double *vt, const double *a, int64_t rows, int64_t columns) {
  return ALONE(decompose(u, s, vt, a, rows, columns));
}
RS_API int rs_multiply_float64(double *out, const double *left, const double *right, int64_t rows, int64_t inner,
                               int64_t columns, int transpose_left, int transpose_right) {
  return ALONE(multiply(out, left, right, rows, inner, columns, transpose_left, transpose_right));
}
/* The `count` largest of symmetric [n, n], ascending: values [count], vectors [count, n]. */
RS_API int rs_top_eigen(double *values, double *vectors, const double *symmetric, int64_t n, int64_t count) {
  return ALONE(top_eigen(values, vectors, symmetric, n, count));
}
