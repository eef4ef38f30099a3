/*
 * A CUDA driver without a GPU: libcuda.so.1's functions as far as host/ uses them, over the kernels compiled by g++.
 *
 * What it finds, beside wrong results:
 *  - the host touching device memory: device addresses carry a tag in the top 16 bits, which only a launch and a
 *    copy take off, so that a dereference faults; a host address inside a kernel's parameters is refused;
 *  - reads and writes outside an allocation or after its release: each lies right against an inaccessible page, and
 *    addresses are never used twice;
 *  - outputs or shared memory nobody wrote: all memory starts as NaN;
 *  - results read too early, staging memory used again too early: work on a stream runs as late as allowed, at
 *    the first synchronisation that needs it;
 *  - barriers and shuffles that not all threads reach, and results that depend on the order of threads or blocks: the
 *    order comes from RS_EMULATE_SEED; built with RS_TSAN, each thread is one of ThreadSanitizer's fibers and
 *    what lacks a barrier in between is reported as a race.
 */
#include "emulator.h"

#include <signal.h>
#include <unistd.h>

#include <deque>
#include <mutex>

namespace {
/* Threads beside JavaScript's call too; work runs on whichever thread needs it, one piece at a time. */
std::recursive_mutex one_at_a_time;
struct Guard {
  std::lock_guard<std::recursive_mutex> held{one_at_a_time};
};

/* ---- streams: work runs as late as allowed ---- */

struct Event {
  uint64_t recorded = 0, done = 0, asked = 0;
  struct Stream *stream = nullptr;
};
struct Stream {
  std::deque<std::function<void()>> work;
  bool running = false;
  void finish() {
    while (!work.empty()) {
      auto next = std::move(work.front());
      work.pop_front();
      next();
    }
  }
};
std::vector<Stream *> streams;
bool eager;
void enqueue(void *stream, std::function<void()> work) {
  if (!stream) fail("work on the default stream, which waits for all others");
  ((Stream *)stream)->work.push_back(std::move(work));
  if (eager) ((Stream *)stream)->finish();
}
void finish_all() {
  for (auto *stream : streams) stream->finish();
}

void on_fault(int number, siginfo_t *info, void *) {
  std::string text = "CUDA emulation: ", kernel = where_kernel_is();
  uint64_t address = (uint64_t)info->si_addr, start, bytes;
  if (kernel.empty())
    text += "the host touched device memory (or another bad address, signal " + std::to_string(number) + ")";
  else if (allocation_at(address, &start, &bytes) && address - start < (1 << 20))
    text += kernel + " touched byte " + std::to_string(address - start) + " of an allocation of " + std::to_string(bytes);
  else
    text += kernel + " touched device memory that is released, or was never allocated";
  text += "\n";
  if (write(2, text.data(), text.size())) {
  }
  signal(number, SIG_DFL);
}
}  // namespace

enum {
  OK = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NO_DEVICE = 100,
  INVALID_CONTEXT = 201,
  NOT_FOUND = 500,
  NOT_READY = 600
};

API int cuInit(unsigned) {
  static bool started;
  Guard guard;
  if (started) return OK;
  if (getenv("RS_EMULATE_NO_DEVICE")) return NO_DEVICE;
  const char *seed = getenv("RS_EMULATE_SEED"), *bytes = getenv("RS_EMULATE_BYTES");
  start_memory(bytes ? strtoull(bytes, nullptr, 10) : 8ull << 30);
  start_blocks(seed ? strtoull(seed, nullptr, 10) : 0);
  eager = getenv("RS_EMULATE_EAGER") != nullptr;
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  started = true;
  return OK;
}
API int cuDriverGetVersion(int *version) {
  *version = 13000;
  return OK;
}
API int cuDeviceGetCount(int *count) {
  *count = 1;
  return OK;
}
API int cuDeviceGet(int *device, int) {
  *device = 0;
  return OK;
}
API int cuDeviceGetName(char *name, int size, int) {
  snprintf(name, size, "emulated GPU");
  return OK;
}
API int cuDeviceGetAttribute(int *value, int attribute, int) {
  const char *major = getenv("RS_EMULATE_MAJOR");
  switch (attribute) {
    case 16: *value = 2; return OK;                       /* multiprocessors */
    case 75: *value = major ? atoi(major) : 9; return OK; /* compute capability */
    case 76: *value = 0; return OK;
    case 97: *value = 227 << 10; return OK; /* shared memory of a block */
    default: return INVALID_VALUE;
  }
}
API int cuDevicePrimaryCtxRetain(void **context, int) {
  *context = (void *)1;
  return OK;
}
static thread_local bool bound; /* whether this thread has a context */
API int cuCtxSetCurrent(void *) {
  bound = true;
  return OK;
}
API int cuCtxSynchronize() {
  Guard guard;
  finish_all();
  return OK;
}
API int cuMemGetInfo_v2(size_t *free, size_t *all) {
  Guard guard;
  *free = free_bytes();
  *all = total_bytes();
  return OK;
}

API int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  Guard guard;
  if (!bound) return INVALID_CONTEXT;
  if (bytes == 0) return INVALID_VALUE;
  return (*address = allocate(bytes)) ? OK : OUT_OF_MEMORY;
}
API int cuMemFree_v2(uint64_t address) {
  Guard guard;
  finish_all();
  release(address);
  return OK;
}
API int cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  Guard guard;
  *memory = allocate_pinned(bytes);
  return OK;
}
API int cuMemFreeHost(void *memory) {
  Guard guard;
  finish_all();
  release_pinned(memory);
  return OK;
}

API int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) {
  Guard guard;
  device_range(to, bytes, "copy to the device");
  if (is_pinned(from, bytes)) {
    enqueue(stream, [=] { memcpy((void *)device_range(to, bytes, "copy to the device"), from, bytes); });
  } else { /* pageable memory has been read when the call returns */
    enqueue(stream, [to, bytes, copy = std::string((const char *)from, bytes)] {
      memcpy((void *)device_range(to, bytes, "copy to the device"), copy.data(), bytes);
    });
  }
  return OK;
}
API int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) {
  Guard guard;
  device_range(from, bytes, "copy to the host");
  enqueue(stream, [=] { memcpy(to, (void *)device_range(from, bytes, "copy to the host"), bytes); });
  if (!is_pinned(to, bytes)) ((Stream *)stream)->finish();
  return OK;
}
API int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  Guard guard;
  device_range(to, bytes, "copy");
  enqueue(stream,
          [=] { memmove((void *)device_range(to, bytes, "copy"), (void *)device_range(from, bytes, "copy"), bytes); });
  return OK;
}

API int cuStreamCreateWithPriority(void **stream, unsigned, int) {
  Guard guard;
  streams.push_back(new Stream);
  *stream = streams.back();
  return OK;
}
API int cuStreamSynchronize(void *stream) {
  Guard guard;
  ((Stream *)stream)->finish();
  return OK;
}
API int cuStreamWaitEvent(void *stream, void *event, unsigned) {
  Guard guard;
  Event *of = (Event *)event;
  enqueue(stream, [of, wanted = of->recorded] {
    if (of->stream && of->done < wanted) of->stream->finish();
  });
  return OK;
}
API int cuEventCreate(void **event, unsigned) {
  *event = new Event;
  return OK;
}
API int cuEventRecord(void *event, void *stream) {
  Guard guard;
  Event *of = (Event *)event;
  of->stream = (Stream *)stream;
  enqueue(stream, [of, number = ++of->recorded] { of->done = number; });
  return OK;
}
/* Not ready when first asked; then it gets there, so that whoever polls comes to an end. */
API int cuEventQuery(void *event) {
  Guard guard;
  Event *of = (Event *)event;
  if (of->done < of->recorded && of->asked++ && of->stream) of->stream->finish();
  if (of->done < of->recorded) return NOT_READY;
  of->asked = 0;
  return OK;
}
API int cuEventSynchronize(void *event) {
  Guard guard;
  Event *of = (Event *)event;
  if (of->stream && of->done < of->recorded) of->stream->finish();
  return OK;
}
API int cuEventElapsedTime(float *ms, void *, void *) {
  *ms = 1;
  return OK;
}

API int cuModuleLoadData(void **module, const void *) {
  *module = (void *)1;
  return OK;
}
API int cuModuleGetFunction(void **function, void *, const char *name) {
  return (*function = (void *)find_kernel(name)) ? OK : NOT_FOUND;
}
API int cuFuncSetAttribute(void *, int attribute, int value) {
  return attribute == 8 && value <= 227 << 10 ? OK : INVALID_VALUE;
}
API int cuGetErrorName(int status, const char **text) {
  *text = status == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
          : status == NOT_FOUND   ? "CUDA_ERROR_NOT_FOUND"
          : status == NO_DEVICE   ? "CUDA_ERROR_NO_DEVICE"
                                  : "CUDA_ERROR_INVALID_VALUE";
  return OK;
}

API int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned dynamic, void *stream, void **parameters, void **) {
  Guard guard;
  const Kernel *kernel = (const Kernel *)function;
  if (!bound) return INVALID_CONTEXT;
  if (gx < 1 || gy < 1 || gz < 1 || gx > 0x7fffffff || gy > 65535 || gz > 65535 || bx * by * bz < 1 ||
      bx * by * bz > MOST || dynamic > 227 << 10)
    return INVALID_VALUE;
  Launch launch = {kernel, {gx, gy, gz}, {bx, by, bz}, dynamic, {}, {}};
  launch.parameters.resize(kernel->parameters);
  memcpy(launch.parameters.data(), parameters[0], kernel->parameters);
  for (size_t at = 0; at + 8 <= kernel->parameters; at += 8) {
    uint64_t word;
    memcpy(&word, &launch.parameters[at], 8);
    if (!is_device(word) && word >> 44 && word >> 47 == 0)
      fail("%s: byte %zu of its parameters is a host address", kernel->name.c_str(), at);
    if (is_device(word)) launch.addresses.push_back(word = (uint64_t)real(word));
    memcpy(&launch.parameters[at], &word, 8);
  }
  enqueue(stream, [launch] { run(launch); });
  return OK;
}

/* For the stand-ins of cuBLAS and cuSOLVER: the real address behind a device address, and work on a stream. */
API void *rs_emulated_real(const void *address, uint64_t bytes) {
  Guard guard;
  return (void *)device_range((uint64_t)address, bytes, "library call");
}
API void rs_emulated_enqueue(void *stream, std::function<void()> work) {
  Guard guard;
  enqueue(stream, std::move(work));
}
