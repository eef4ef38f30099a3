/*
 * Every kernel on odd shapes; prints a hash of each result. The same for every RS_EMULATE_SEED (order of threads and
 * blocks), or a result depends on the schedule. Built with -fsanitize=thread it reports races.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *library;
static const char *(*last_error)(void);
static void *symbol(const char *name) {
  void *found = dlsym(library, name);
  if (!found) fprintf(stderr, "%s\n", name), exit(1);
  return found;
}
#define CALL(name, types, ...) \
  do { \
    if (((int(*) types)symbol(#name))(__VA_ARGS__) != 0) fprintf(stderr, #name ": %s\n", last_error()), exit(1); \
  } while (0)
typedef float *P;
typedef const float *C;
typedef const int32_t *I;
typedef int64_t N;

static P make(N count) { return ((void *(*)(int64_t))symbol("rs_allocate"))(count * 4); }
static uint32_t state = 1;
static P filled(N count) {
  P host = malloc((size_t)count * 4), device = make(count);
  for (N i = 0; i < count; i++) {
    state = state * 1664525u + 1013904223u;
    host[i] = (float)(state >> 8) / 8388608.0f - 1;
  }
  CALL(rs_upload, (void *, const void *, N), device, host, count * 4);
  free(host);
  return device;
}
static void print(const char *what, C device, N count) {
  float *host = malloc((size_t)count * 4);
  uint64_t hash = 14695981039346656037ull;
  CALL(rs_download, (void *, const void *, N), host, device, count * 4);
  for (N i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, host + i, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
      fprintf(stderr, "%s: element %lld is not a number\n", what, (long long)i), exit(1);
    hash = (hash ^ bits) * 1099511628211ull;
  }
  printf("%-24s %016llx\n", what, (unsigned long long)hash);
  free(host);
}

static void attention(N batch, N sequence, N heads, N groups, N width, N window) {
  N rows = batch * sequence, q_count = rows * heads * width, k_count = rows * groups * width;
  P q = filled(q_count), k = filled(k_count), v = filled(k_count), dy = filled(q_count), y = make(q_count),
    lse = make(batch * heads * sequence);
  P dq = make(q_count), dk = make(k_count), dv = make(k_count);
  CALL(rs_attention, (P, P, C, C, C, N, N, N, N, N, N, float), y, lse, q, k, v, batch, sequence, heads, groups, width,
       window, 0.2f);
  CALL(rs_attention_backward, (P, P, P, C, C, C, C, C, C, N, N, N, N, N, N, float), dq, dk, dv, dy, y, lse, q, k, v,
       batch, sequence, heads, groups, width, window, 0.2f);
  print("attention y", y, q_count);
  print("attention dq", dq, q_count);
  print("attention dk", dk, k_count);
  print("attention dv", dv, k_count);
}

/* A file's bytes and a zero after them; without a file what the emulation takes for an image. */
static const void *image(const char *path) {
  FILE *file = path ? fopen(path, "rb") : NULL;
  static char bytes[16 << 20];
  if (file) fread(bytes, 1, sizeof bytes - 1, file), fclose(file);
  return bytes;
}

/* hashes HOST-LIBRARY DRIVER CUBLAS [IMAGE]; PRODUCTS=1: TF32, 2: bfloat16 */
int main(int count, char **paths) {
  if (count < 4) return fprintf(stderr, "which libraries?\n"), 1;
  library = dlopen(paths[1], RTLD_NOW);
  if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
  last_error = symbol("rs_last_error");
  CALL(rs_start, (const char *, const char *, const void *, int), paths[2], paths[3],
       image(count > 4 ? paths[4] : NULL), 0);
  if (getenv("PRODUCTS")) CALL(rs_set_products, (int), atoi(getenv("PRODUCTS")));
  if (getenv("OPERANDS")) CALL(rs_set_operands, (int), atoi(getenv("OPERANDS")));

  N rows = 70, width = 300, columns = 515;
  P x = filled(rows * width), dy = filled(rows * width), gain = filled(width), y = make(rows * width),
    rstd = make(rows);
  CALL(rs_rms_norm, (P, P, C, C, N, N, float), y, rstd, x, gain, rows, width, 1e-5f);
  print("rms_norm", y, rows * width);
  CALL(rs_rms_norm_gain_gradient, (P, C, C, C, N, N), gain, dy, x, rstd, rows, width);
  print("rms_norm dgain", gain, width);
  CALL(rs_rms_norm_input_gradient, (P, C, C, C, C, int, N, N), y, dy, x, gain, rstd, 1, rows, width);
  print("rms_norm dx, added", y, rows * width);
  CALL(rs_swiglu, (P, C, C, N), y, x, dy, rows * width - 1);
  print("swiglu", y, rows * width - 1);
  CALL(rs_transpose, (P, C, N, N), y, x, rows, width);
  print("transpose", y, rows * width);
  double sum;
  const float *summed[3] = {x, gain, dy};
  int64_t counts[3] = {rows * width, width, 1};
  CALL(rs_sum_of_squares, (double *, const float *const *, const int64_t *, N), &sum, summed, counts, (N)3);
  printf("%-24s %.17g\n", "sum of squares", sum);
  int32_t ids[70], keys[4] = {1, -2, 3, 4};
  for (int i = 0; i < 70; i++) ids[i] = i * i % 23;
  P table = make(23 * width);
  CALL(rs_embedding_backward, (P, C, I, N, N, N), table, dy, ids, rows, width, (N)23);
  print("embedding gradient", table, 23 * width);
  CALL(rs_embedding, (P, C, I, N, N, N), y, table, ids, rows, width, (N)23);
  print("embedding", y, rows * width);
  CALL(rs_dropout, (P, C, I, N, N, N, float, int), y, x, keys, (N)2, rows * width / 2, (N)1 << 30, 1.25f, 0);
  print("dropout", y, rows * width);
  for (keys[0] = 0; keys[0] < 100; keys[0]++) /* more than staging memory holds, and nobody waits in between */
    CALL(rs_dropout, (P, C, I, N, N, N, float, int), y, x, keys, (N)2, (N)100, (N)1 << 30, 1.25f, 1);
  print("dropout, many times", y, rows * width);
  ids[3] = -100;
  P head = filled(columns * width), loss = make(1), per_token = make(rows), dx = make(rows * width),
    dhead = make(columns * width), weights = filled(rows);
  CALL(rs_cross_entropy, (P, P, P, P, P, C, C, I, C, N, N, N, N), loss, per_token, dx, dhead, make(33 * columns), x,
       head, ids, weights, rows, width, columns, (N)33);
  print("cross entropy", loss, 1);
  print("cross entropy dx", dx, rows * width);
  print("cross entropy dhead", dhead, columns * width);
  N devices = 5, m = 60, n = 35, rank = 3;
  P a = filled(devices * m * rank), b = filled(devices * rank * n), da = make(devices * m * rank),
    db = make(devices * rank * n), g = filled(rows * n);
  CALL(rs_adapter_gradients, (P, P, P, C, C, C, C, N, N, N, N, N, float), da, db, (P)NULL, x, g, a, b, devices, rows, m,
       n, rank, 0.5f);
  print("adapter da", da, devices * m * rank);
  print("adapter db", db, devices * rank * n);
  P w = filled(m * n);
  CALL(rs_hd_pissa_apply, (P, C, C, C, C, P, N, N, N, N, float, int), w, a, b, da, db,
       make(2 * devices * rank * (m + n)), devices, m, n, rank, 0.1f, 1);
  print("HD-PiSSA update", w, m * n);
  attention(2, 70, 4, 2, 24, 0);
  attention(1, 133, 2, 1, 64, 40);
  attention(1, 97, 3, 1, 100, 0);
  attention(1, 70, 2, 1, 200, 0);
  return 0;
}
