/*
 * The functions of NVIDIA's libraries that are used, in our own declarations: name, parameters. All return a status.
 * Handles are void *, enumerations int, device addresses Device. test/declarations.cpp compares them with NVIDIA's headers.
 */
#ifndef RS_LIBRARIES_H
#define RS_LIBRARIES_H
#include <stddef.h>
#include <stdint.h>

typedef unsigned long long Device; /* CUdeviceptr */

#define RS_CUDA(F)                                                                                              \
  F(cuInit, (unsigned))                                                                                         \
  F(cuDriverGetVersion, (int *))                                                                                \
  F(cuDeviceGetCount, (int *))                                                                                  \
  F(cuDeviceGet, (int *, int))                                                                                  \
  F(cuDeviceGetName, (char *, int, int))                                                                        \
  F(cuDeviceGetAttribute, (int *, int, int))                                                                    \
  F(cuDevicePrimaryCtxRetain, (void **, int))                                                                   \
  F(cuCtxSetCurrent, (void *))                                                                                  \
  F(cuMemGetInfo_v2, (size_t *, size_t *))                                                                      \
  F(cuMemAlloc_v2, (Device *, size_t))                                                                          \
  F(cuMemFree_v2, (Device))                                                                                     \
  F(cuMemFreeHost, (void *))                                                                                    \
  F(cuMemHostAlloc, (void **, size_t, unsigned))                                                                \
  F(cuMemcpyHtoDAsync_v2, (Device, const void *, size_t, void *))                                               \
  F(cuMemcpyDtoHAsync_v2, (void *, Device, size_t, void *))                                                     \
  F(cuMemcpyDtoDAsync_v2, (Device, Device, size_t, void *))                                                     \
  F(cuStreamCreateWithPriority, (void **, unsigned, int))                                                       \
  F(cuStreamSynchronize, (void *))                                                                              \
  F(cuEventCreate, (void **, unsigned))                                                                         \
  F(cuEventRecord, (void *, void *))                                                                            \
  F(cuEventQuery, (void *))                                                                                     \
  F(cuEventSynchronize, (void *))                                                                               \
  F(cuModuleLoadData, (void **, const void *))                                                                  \
  F(cuModuleGetFunction, (void **, void *, const char *))                                                       \
  F(cuFuncSetAttribute, (void *, int, int))                                                                     \
  F(cuGetErrorName, (int, const char **))                                                                       \
  F(cuLaunchKernel, (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **))

#define RS_CUBLAS(F)                                                                                            \
  F(cublasCreate_v2, (void **))                                                                                 \
  F(cublasDestroy_v2, (void *))                                                                                 \
  F(cublasGetVersion_v2, (void *, int *))                                                                       \
  F(cublasSetStream_v2, (void *, void *))                                                                       \
  F(cublasSetWorkspace_v2, (void *, void *, size_t))                                                            \
  F(cublasSetMathMode, (void *, int))                                                                           \
  F(cublasGemmStridedBatchedEx, (void *, int, int, int, int, int, const void *, const void *, int, int, long long, \
     const void *, int, int, long long, const void *, void *, int, int, long long, int, int, int))

#define RS_CUSOLVER(F)                                                                                          \
  F(cusolverDnCreate, (void **))                                                                                \
  F(cusolverDnSetStream, (void *, void *))                                                                      \
  F(cusolverDnCreateParams, (void **))                                                                          \
  F(cusolverDnXgesvd_bufferSize, (void *, void *, signed char, signed char, int64_t, int64_t, int, const void *, int64_t, int, \
     const void *, int, const void *, int64_t, int, const void *, int64_t, int, size_t *, size_t *))            \
  F(cusolverDnXgesvd, (void *, void *, signed char, signed char, int64_t, int64_t, int, void *, int64_t, int, void *, int, void *, \
     int64_t, int, void *, int64_t, int, void *, size_t, void *, size_t, int *))                                \
  F(cusolverDnXsyevd_bufferSize, (void *, void *, int, int, int64_t, int, const void *, int64_t, int, const void *, int, \
     size_t *, size_t *))                                                                                       \
  F(cusolverDnXsyevd, (void *, void *, int, int, int64_t, int, void *, int64_t, int, void *, int, void *, size_t, void *, \
     size_t, int *))

/* Values of NVIDIA's enumerations. */
#define RS_CUDA_VALUES(V) \
  V(CUDA_ERROR_OUT_OF_MEMORY, 2) \
  V(CUDA_ERROR_NOT_READY, 600) \
  V(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16) \
  V(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 75) \
  V(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 76) \
  V(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 97) \
  V(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 8) \
  V(CU_STREAM_NON_BLOCKING, 1) \
  V(CU_EVENT_DISABLE_TIMING, 2)
#define RS_CUBLAS_VALUES(V) \
  V(CUBLAS_OP_N, 0) \
  V(CUBLAS_OP_T, 1) \
  V(CUBLAS_COMPUTE_32F, 68) \
  V(CUBLAS_COMPUTE_32F_FAST_TF32, 77) \
  V(CUBLAS_COMPUTE_64F, 70) \
  V(CUBLAS_FILL_MODE_LOWER, 0) \
  V(CUBLAS_GEMM_DEFAULT, -1) \
  V(CUDA_R_32F, 0) \
  V(CUDA_R_64F, 1) \
  V(CUDA_R_16BF, 14)
#define RS_CUSOLVER_VALUES(V) V(CUSOLVER_EIG_MODE_VECTOR, 1)
#ifndef RS_NVIDIA_HEADERS
#define RS_VALUE(name, value) name = value,
enum { RS_CUDA_VALUES(RS_VALUE) RS_CUBLAS_VALUES(RS_VALUE) RS_CUSOLVER_VALUES(RS_VALUE) };
#endif

#define RS_MEMBER(name, parameters) int(*name) parameters;
typedef struct { RS_CUDA(RS_MEMBER) } Cuda;
typedef struct { RS_CUBLAS(RS_MEMBER) } Cublas;
typedef struct { RS_CUSOLVER(RS_MEMBER) } Cusolver;
#endif
