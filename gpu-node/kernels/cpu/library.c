/* What the library says about itself, its error text and its number of threads. */
#include <stdarg.h>
#include <stdio.h>

#include "common.h"
#include "sgemm.h"

#if defined(RS_OPENBLAS)
#include <cblas.h>
#endif

static _Thread_local char error_text[256];
static _Thread_local char description[128];
static _Thread_local int thread_count = 1;

int rs_fail(int status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error_text, sizeof error_text, format, arguments);
  va_end(arguments);
  return status;
}

int rs_interface_version(void) { return RS_INTERFACE_VERSION; }

const char *rs_last_error(void) { return error_text; }

int rs_threads(void) { return thread_count; }

int rs_set_threads(int threads) {
  if (threads < 1 || threads > 1024) return rs_fail(RS_BAD_ARGUMENT, "%d threads asked for", threads);
#if defined(_OPENMP)
  omp_set_num_threads(threads);
#endif
#if defined(RS_OPENBLAS)
  openblas_set_num_threads(threads);
#endif
  thread_count = threads;
  return RS_OK;
}

int rs_set_products(int precision) {
  return precision == RS_FLOAT32 ? RS_OK : rs_fail(RS_BAD_ARGUMENT, "products in precision %d on a CPU", precision);
}

int rs_set_operands(int precision) {
  return precision == RS_FLOAT32 ? RS_OK : rs_fail(RS_BAD_ARGUMENT, "operands in precision %d on a CPU", precision);
}

const char *rs_gemm_description(void) {
#if defined(RS_OPENBLAS)
  /* The configuration reads "OpenBLAS 0.3.29 DYNAMIC_ARCH ...": its first two words are name and version. */
  const char *config = openblas_get_config();
  int words = (int)strcspn(config + rs_min(9, (int64_t)strlen(config)), " ") + 9;
  snprintf(description, sizeof description, "%s%.*s with %s kernels", rs_builtin_is_first() ? "built-in sgemm, " : "", words,
           config, openblas_get_corename());
#else
  snprintf(description, sizeof description, "built-in sgemm");
#endif
  return description;
}
