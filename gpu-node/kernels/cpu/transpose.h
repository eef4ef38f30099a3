/* Transposition of blocks that fit the cache. */
#ifndef RANKSCOPE_TRANSPOSE_H
#define RANKSCOPE_TRANSPOSE_H

#include <stdint.h>

/* to[columns, .] = transpose of from[rows, columns], rows a stride apart in both. */
void rs_transpose_block(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows,
                        int64_t columns);

#endif
