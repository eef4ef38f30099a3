/* A stand-in for cuSOLVER over LAPACK, every operand checked against the allocation it lies in. */
#include <functional>
#include <vector>

#include "shim.h"
#define API extern "C" __attribute__((visibility("default")))

API void *rs_emulated_real(const void *address, uint64_t bytes);
API void rs_emulated_enqueue(void *stream, std::function<void()> work);
extern "C" {
void dgesvd_(const char *, const char *, const int *, const int *, double *, const int *, double *, double *, const int *,
             double *, const int *, double *, const int *, int *, size_t, size_t);
void dsyevd_(const char *, const char *, const int *, double *, const int *, double *, double *, const int *, int *,
             const int *, int *, size_t, size_t);
}

namespace {
struct Handle {
  void *stream = nullptr;
};
enum { OK = 0, NOT_SUPPORTED = 15, R_64F = 1 };
double *doubles(const void *address, int64_t count) { return (double *)rs_emulated_real(address, (uint64_t)count * 8); }
}  // namespace

API int cusolverDnCreate(void **handle) {
  *handle = new Handle;
  return OK;
}
API int cusolverDnSetStream(void *handle, void *stream) {
  ((Handle *)handle)->stream = stream;
  return OK;
}
API int cusolverDnCreateParams(void **parameters) {
  *parameters = new int;
  return OK;
}
API int cusolverDnXgesvd_bufferSize(void *, void *, signed char, signed char, int64_t m, int64_t n, int a_type,
                                    const void *, int64_t, int, const void *, int, const void *, int64_t, int,
                                    const void *, int64_t, int, size_t *on_device, size_t *on_host) {
  if (m < n || a_type != R_64F) return NOT_SUPPORTED;
  *on_device = *on_host = (size_t)(16 * (m + n)) * 8;
  return OK;
}
API int cusolverDnXgesvd(void *handle, void *, signed char jobu, signed char jobv, int64_t m, int64_t n, int a_type,
                         void *a, int64_t lda, int, void *s, int, void *u, int64_t ldu, int, void *vt, int64_t ldvt, int,
                         void *work, size_t work_bytes, void *, size_t, int *info) {
  bool vectors = jobu == 'S';
  if (m < n || a_type != R_64F || jobu != jobv || (!vectors && jobu != 'N') || lda < m) return NOT_SUPPORTED;
  if (vectors && (ldu < m || ldvt < n)) return NOT_SUPPORTED;
  rs_emulated_enqueue(((Handle *)handle)->stream, [=] {
    rs_emulated_real(work, work_bytes);
    int rows = (int)m, columns = (int)n, ld = (int)lda, left = vectors ? (int)ldu : 1, right = vectors ? (int)ldvt : 1,
        size = (int)(16 * (m + n));
    std::vector<double> own(size);
    const char *job = vectors ? "S" : "N";
    dgesvd_(job, job, &rows, &columns, doubles(a, lda * (n - 1) + m), &ld, doubles(s, n),
            vectors ? doubles(u, ldu * (n - 1) + m) : nullptr, &left, vectors ? doubles(vt, ldvt * (n - 1) + n) : nullptr,
            &right, own.data(), &size, (int *)rs_emulated_real(info, 4), 1, 1);
  });
  return OK;
}
API int cusolverDnXsyevd_bufferSize(void *, void *, int, int, int64_t n, int a_type, const void *, int64_t, int,
                                    const void *, int, size_t *on_device, size_t *on_host) {
  if (a_type != R_64F) return NOT_SUPPORTED;
  *on_device = *on_host = (size_t)(1 + 6 * n + 2 * n * n) * 8;
  return OK;
}
API int cusolverDnXsyevd(void *handle, void *, int jobz, int uplo, int64_t n, int a_type, void *a, int64_t lda, int,
                         void *w, int, void *work, size_t work_bytes, void *, size_t, int *info) {
  if (jobz != 1 || a_type != R_64F || lda < n) return NOT_SUPPORTED;
  rs_emulated_enqueue(((Handle *)handle)->stream, [=] {
    rs_emulated_real(work, work_bytes);
    int order = (int)n, ld = (int)lda, size = (int)(1 + 6 * n + 2 * n * n), integers = (int)(3 + 5 * n);
    std::vector<double> own(size);
    std::vector<int> own_integers(integers);
    dsyevd_("V", uplo ? "U" : "L", &order, doubles(a, lda * (n - 1) + n), &ld, doubles(w, n), own.data(), &size,
            own_integers.data(), &integers, (int *)rs_emulated_real(info, 4), 1, 1);
  });
  return OK;
}
