/* Copies between host and device: staging of what calls bring along, uploads, readings that nobody waits for. */
#include "device.h"

#include <stdlib.h>
#include <string.h>

#define STAGE_PARTS 4
#ifndef STAGE_BYTES
#define STAGE_BYTES ((int64_t)16 << 20)
#endif

const void *rs_stage(const void *host, int64_t bytes) {
  static struct {
    char *pinned;
    Device device;
    void *left;
  } parts[STAGE_PARTS];
  static int part;
  static int64_t used;
  int64_t place = (bytes + 255) / 256 * 256;
  if (place > STAGE_BYTES) return rs_fail(RS_BAD_ARGUMENT, "%lld bytes to be staged", (long long)bytes), NULL;
  if (used + place > STAGE_BYTES) {
    if (rs_check(cuda.cuEventRecord(parts[part].left, stream), "event")) return NULL;
    part = (part + 1) % STAGE_PARTS;
    used = 0;
    /* Whatever read this part the last time round must be through. */
    if (parts[part].left && rs_check(cuda.cuEventSynchronize(parts[part].left), "event")) return NULL;
  }
  if (!parts[part].left) { /* the event comes last: with it the part is whole */
    void *memory = parts[part].pinned;
    if (!memory && rs_check(cuda.cuMemHostAlloc(&memory, (size_t)STAGE_BYTES, 0), "pinned memory")) return NULL;
    parts[part].pinned = memory;
    if (!parts[part].device && rs_check(cuda.cuMemAlloc_v2(&parts[part].device, (size_t)STAGE_BYTES), "staging memory"))
      return NULL;
    if (rs_check(cuda.cuEventCreate(&parts[part].left, CU_EVENT_DISABLE_TIMING), "event")) return NULL;
  }
  memcpy(parts[part].pinned + used, host, (size_t)bytes);
  Device to = parts[part].device + (Device)used;
  if (rs_check(cuda.cuMemcpyHtoDAsync_v2(to, parts[part].pinned + used, (size_t)bytes, stream), "staging")) return NULL;
  used += place;
  return (const void *)(uintptr_t)to;
}

/* Bytes of weights staged at once: some parts of the ring are read while others are filled. */
#define WIDEN_BYTES (STAGE_BYTES / 4)

int rs_widen(float *out, const void *x, int64_t rows, int64_t columns, int stored, int transposed) {
  if (stored < RS_STORED_FLOAT32 || stored > RS_STORED_FLOAT16)
    return rs_fail(RS_BAD_ARGUMENT, "floats cannot be stored in form %d", stored);
  int bytes = stored == RS_STORED_FLOAT32 ? 4 : 2, float16 = stored == RS_STORED_FLOAT16;
  if (!transposed) { /* its rows do not matter: cut anywhere */
    int64_t count = rows * columns, part = WIDEN_BYTES / bytes;
    for (int64_t first = 0; first < count; first += part) {
      int64_t some = rs_min(part, count - first);
      const void *staged = rs_stage((const char *)x + first * bytes, some * bytes);
      if (!staged) return RS_DEVICE_FAILED;
      TRY(LAUNCH_EACH(widen, some, .out = out + first, .x = staged, .rows = some, .columns = 1, .bytes = bytes,
                      .float16 = float16));
    }
    return RS_OK;
  }
  if (rows == 0 || columns == 0) return RS_OK;
  /* Whole tiles, so that a warp writes whole lines. */
  int64_t part = rs_max(1, WIDEN_BYTES / (columns * bytes) / 32 * 32);
  for (int64_t row = 0; row < rows; row += part) {
    int64_t some = rs_min(part, rows - row);
    const void *staged = rs_stage((const char *)x + row * columns * bytes, some * columns * bytes);
    if (!staged) return RS_DEVICE_FAILED;
    TRY(LAUNCH(widen_transposed, (columns + 31) / 32, (some + 31) / 32, 1, RS_BLOCK, 0, .out = out + row, .x = staged,
               .rows = some, .columns = columns, .all_rows = rows, .bytes = bytes, .float16 = float16));
  }
  return RS_OK;
}

int rs_upload(void *to, const void *from, int64_t bytes) {
  return rs_check(cuda.cuMemcpyHtoDAsync_v2((Device)(uintptr_t)to, from, (size_t)bytes, stream), "upload");
}
int rs_download(void *to, const void *from, int64_t bytes) {
  TRY(rs_check(cuda.cuMemcpyDtoHAsync_v2(to, (Device)(uintptr_t)from, (size_t)bytes, stream), "download"));
  return rs_check(cuda.cuStreamSynchronize(stream), "download");
}
int rs_copy(void *to, const void *from, int64_t bytes) {
  return rs_check(cuda.cuMemcpyDtoDAsync_v2((Device)(uintptr_t)to, (Device)(uintptr_t)from, (size_t)bytes, stream),
                  "copy");
}

/* A reading on its way: pinned memory, and the event after which it is there. Those that are idle form a list. */
typedef struct Reading {
  void *pinned, *arrived;
  int64_t bytes;
  struct Reading *next;
} Reading;
static Reading *idle_readings;

/* Larger ones give their pinned memory back when they are done. */
#define KEPT_READING_BYTES ((int64_t)1 << 20)

/* Begins to read what `from` holds after all that was asked for so far; NULL: rs_last_error. JavaScript polls rs_ready.
 */
RS_API void *rs_begin_download(const void *from, int64_t bytes) {
  Reading *reading = idle_readings;
  if (reading)
    idle_readings = reading->next;
  else if (!(reading = calloc(1, sizeof *reading)))
    return rs_fail(RS_OUT_OF_MEMORY, "no memory for a reading"), NULL;
  int status =
      reading->arrived ? RS_OK : rs_check(cuda.cuEventCreate(&reading->arrived, CU_EVENT_DISABLE_TIMING), "event");
  if (status == RS_OK && reading->bytes < bytes) {
    if (reading->pinned) cuda.cuMemFreeHost(reading->pinned);
    reading->pinned = NULL;
    status = rs_check(cuda.cuMemHostAlloc(&reading->pinned, (size_t)bytes, 0), "pinned memory");
    reading->bytes = status == RS_OK ? bytes : 0;
  }
  if (status == RS_OK)
    status = rs_check(cuda.cuMemcpyDtoHAsync_v2(reading->pinned, (Device)(uintptr_t)from, (size_t)bytes, stream),
                      "download");
  if (status == RS_OK) status = rs_check(cuda.cuEventRecord(reading->arrived, stream), "event");
  if (status == RS_OK) return reading;
  reading->next = idle_readings;
  idle_readings = reading;
  return NULL;
}

/* 1: it is there, 0: not yet, -1: the device failed, rs_last_error says how. */
RS_API int rs_ready(const void *reading) {
  int status = cuda.cuEventQuery(((const Reading *)reading)->arrived);
  if (status == CUDA_ERROR_NOT_READY) return 0;
  return rs_check(status, "download") == RS_OK ? 1 : -1;
}

/* Takes what has arrived, or (to NULL) lets it go. */
RS_API int rs_end_download(void *to, void *taken, int64_t bytes) {
  Reading *reading = taken;
  if (to) memcpy(to, reading->pinned, (size_t)bytes);
  if (reading->bytes > KEPT_READING_BYTES) {
    cuda.cuMemFreeHost(reading->pinned);
    reading->pinned = NULL;
    reading->bytes = 0;
  }
  reading->next = idle_readings;
  idle_readings = reading;
  return RS_OK;
}

RS_API int rs_synchronize(void) { return rs_check(cuda.cuStreamSynchronize(stream), "synchronisation"); }
