/* The device: libraries found at run time, kernels from an image, launches. Needs no CUDA to build. */
#include "device.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Cuda cuda;
Cublas cublas;
Cusolver cusolver;
void *stream, *blas;

int products = RS_FLOAT32, operands = RS_FLOAT32;
static void *functions[KERNELS];
static void *context;
static int device, driver_version, multiprocessors;
char device_name[96];
static char description[256];
static _Thread_local char error_text[512];

int rs_fail(int status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error_text, sizeof error_text, format, arguments);
  va_end(arguments);
  return status;
}
int rs_check(int status, const char *what) {
  if (status == 0) return RS_OK;
  const char *name = "?";
  if (cuda.cuGetErrorName) cuda.cuGetErrorName(status, &name);
  return rs_fail(status == CUDA_ERROR_OUT_OF_MEMORY ? RS_OUT_OF_MEMORY : RS_DEVICE_FAILED, "%s: %s (%d)", what, name,
                 status);
}
int rs_check_blas(int status, const char *what) {
  return status == 0 ? RS_OK : rs_fail(RS_DEVICE_FAILED, "%s: cuBLAS status %d", what, status);
}

const char *rs_last_error(void) { return error_text; }
const char *rs_gemm_description(void) { return description; }
int rs_interface_version(void) { return RS_INTERFACE_VERSION; }
/* Threads of the CPU: there is nothing here for them to do. */
int rs_set_threads(int threads) {
  return threads > 0 ? RS_OK : rs_fail(RS_BAD_ARGUMENT, "%d threads asked for", threads);
}
int rs_set_products(int precision) {
  if (precision != RS_FLOAT32 && precision != RS_TF32 && precision != RS_3XTF32)
    return rs_fail(RS_BAD_ARGUMENT, "products in precision %d", precision);
  products = precision;
  return RS_OK;
}
int rs_set_operands(int precision) {
  if (precision != RS_FLOAT32 && precision != RS_BFLOAT16)
    return rs_fail(RS_BAD_ARGUMENT, "operands in precision %d", precision);
  operands = precision;
  return RS_OK;
}

static int resolve(void *library, const char *path, const char *const *names, void **table, int count) {
  for (int i = 0; i < count; i++)
    if (!(table[i] = dlsym(library, names[i]))) return rs_fail(RS_DEVICE_FAILED, "%s has no %s", path, names[i]);
  return RS_OK;
}
#define RS_NAME(name, parameters) #name,
static const char *const cuda_names[] = {RS_CUDA(RS_NAME)}, *const cublas_names[] = {RS_CUBLAS(RS_NAME)},
                         *const cusolver_names[] = {RS_CUSOLVER(RS_NAME)};
#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

static int open_library(const char *path, const char *const *names, void *table, int count) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return rs_fail(RS_DEVICE_FAILED, "%s", dlerror());
  return resolve(library, path, names, table, count);
}

/* The first path of a list that `open` takes; RS_OK, or its last refusal. */
static int open_first(const char *paths, int (*open)(const char *path)) {
  char path[4096];
  int status = RS_DEVICE_FAILED;
  while (status != RS_OK && *paths) {
    size_t length = strcspn(paths, "\n");
    snprintf(path, sizeof path, "%.*s", (int)length, paths);
    status = open(path);
    paths += length + (paths[length] == '\n');
  }
  return status;
}

static int open_one_cusolver(const char *path) {
  return open_library(path, cusolver_names, &cusolver, COUNT(cusolver_names));
}
int rs_open_cusolver(const char *paths) {
  rs_fail(RS_NO_CUSOLVER, "no cuSOLVER was found");
  return open_first(paths, open_one_cusolver) == RS_OK ? RS_OK : RS_NO_CUSOLVER;
}

/* `image` is PTX (text that ends with a zero) or a cubin. */
static int load_kernels(const void *image) {
  void *module;
  TRY(rs_check(cuda.cuModuleLoadData(&module, image), "loading the kernels"));
#define RS_KERNEL_NAME(name, type) "rs_k_" #name,
  static const char *const names[] = {RS_KERNELS(RS_KERNEL_NAME)};
  for (int i = 0; i < KERNELS; i++) TRY(rs_check(cuda.cuModuleGetFunction(&functions[i], module, names[i]), names[i]));
  return RS_OK;
}

int rs_attribute(int attribute) {
  int value = 0;
  return cuda.cuDeviceGetAttribute(&value, attribute, device) == 0 ? value : 0;
}

static int open_driver(const char *path, int number) {
  int count = 0;
  if (open_library(path, cuda_names, &cuda, COUNT(cuda_names)) != RS_OK) return RS_NO_DRIVER;
  if (rs_check(cuda.cuInit(0), "the NVIDIA driver does not start") != RS_OK) return RS_NO_DRIVER;
  if (rs_check(cuda.cuDeviceGetCount(&count), "counting GPUs") != RS_OK) return RS_NO_DEVICE;
  if (number >= count) return rs_fail(RS_NO_DEVICE, "GPU %d was asked for and there are %d", number, count);
  TRY(rs_check(cuda.cuDeviceGet(&device, number), "GPU"));
  cuda.cuDeviceGetName(device_name, sizeof device_name, device);
  cuda.cuDriverGetVersion(&driver_version);
  multiprocessors = rs_attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  int major = rs_attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  if (major < 8)
    return rs_fail(RS_TOO_OLD, "%s has compute capability %d.%d, and 8.0 is the least", device_name, major,
                   rs_attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
  TRY(rs_check(cuda.cuDevicePrimaryCtxRetain(&context, device), "context"));
  return rs_check(cuda.cuCtxSetCurrent(context), "context");
}

/* A workspace of its own makes cuBLAS reproducible beside other streams; 32 MiB is what it wants on Hopper. */
#define WORKSPACE_BYTES (32 << 20)

int rs_open_blas_handle(void **handle, void *on_stream) {
  Device workspace;
  TRY(rs_check_blas(cublas.cublasCreate_v2(handle), "cublasCreate"));
  TRY(rs_check_blas(cublas.cublasSetStream_v2(*handle, on_stream), "cublasSetStream"));
  TRY(rs_check(cuda.cuMemAlloc_v2(&workspace, WORKSPACE_BYTES), "cuBLAS's workspace"));
  return rs_check_blas(cublas.cublasSetWorkspace_v2(*handle, (void *)(uintptr_t)workspace, WORKSPACE_BYTES),
                       "cublasSetWorkspace");
}

/* One that does not start may be of a newer CUDA than the driver: the next is tried. */
static int open_cublas(const char *path) {
  void *handle;
  TRY(open_library(path, cublas_names, &cublas, COUNT(cublas_names)));
  TRY(rs_check_blas(cublas.cublasCreate_v2(&handle), "cublasCreate"));
  return rs_check_blas(cublas.cublasDestroy_v2(handle), "cublasDestroy");
}

/*
 * Opens the driver, then the device, the kernels' image (PTX or cubin) and cuBLAS, whose candidates are paths separated
 * by newlines, best first. Started once; what fails leaves its reason in rs_last_error and may be tried again.
 */
RS_API int rs_start(const char *driver, const char *blas_paths, const void *image, int number) {
  void *made;
  int version = 0;
  if (stream) return RS_OK;
  TRY(open_driver(driver, number));
  if (load_kernels(image) != RS_OK) return RS_NO_KERNELS;
  /* Before what runs beside training; the driver takes the nearest priority that it has. */
  TRY(rs_check(cuda.cuStreamCreateWithPriority(&made, CU_STREAM_NON_BLOCKING, -5), "stream"));
  rs_fail(RS_NO_CUBLAS, "no cuBLAS was found");
  if (open_first(blas_paths, open_cublas) != RS_OK) return RS_NO_CUBLAS;
  TRY(rs_open_blas_handle(&blas, made));
  cublas.cublasGetVersion_v2(blas, &version);
  snprintf(description, sizeof description, "%s (%d.%d), CUDA driver %d.%d, cuBLAS %d.%d.%d", device_name,
           rs_attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
           rs_attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR), driver_version / 1000,
           driver_version % 1000 / 10, version / 10000, version / 100 % 100, version % 100);
  stream = made;
  return RS_OK;
}

/* Every thread of the process that calls must have the context as its own. */
int rs_bind_thread(void) { return rs_check(cuda.cuCtxSetCurrent(context), "context"); }

int64_t rs_blocks(int64_t count) {
  return rs_max(1, rs_min((count + RS_BLOCK - 1) / RS_BLOCK, (int64_t)multiprocessors * 16));
}

int rs_threads_for(int64_t width) {
  int threads = 32;
  while (threads < RS_BLOCK && threads * 4 < width) threads *= 2;
  return threads;
}

int rs_launch(int kernel, int64_t x, int64_t y, int64_t z, int threads, int64_t shared_bytes, const void *parameters) {
  static int64_t allowed[KERNELS];
  if (x < 1 || y < 1 || z < 1) return RS_OK; /* no rows */
  if (shared_bytes > 48 << 10 && allowed[kernel] < shared_bytes) {
    TRY(rs_check(
        cuda.cuFuncSetAttribute(functions[kernel], CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)shared_bytes),
        "shared memory"));
    allowed[kernel] = shared_bytes;
  }
  void *list[] = {(void *)(uintptr_t)parameters};
  return rs_check(cuda.cuLaunchKernel(functions[kernel], (unsigned)x, (unsigned)y, (unsigned)z, (unsigned)threads, 1, 1,
                                      (unsigned)shared_bytes, stream, list, NULL),
                  "launch");
}
