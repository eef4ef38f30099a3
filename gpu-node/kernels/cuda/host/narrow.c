/*
 * bfloat16 copies of what is multiplied again and again: weights, which would otherwise be rounded anew for each product.
 * Known by the address that they copy; whoever changes what lies there has to say so.
 */
#include "device.h"

#include <stdlib.h>

typedef struct {
  const float *x;
  int64_t count;
  const uint16_t *copy;
} Kept;
static Kept *kept;
static int64_t used, room;

static Kept *find(const float *x) {
  for (int64_t i = 0; i < used; i++)
    if (kept[i].x == x) return &kept[i];
  return NULL;
}

const uint16_t *rs_kept_bfloat16(const float *x, int64_t count) {
  const Kept *found = find(x);
  return found && found->count >= count ? found->copy : NULL;
}

/* Rounds `count` elements from x on into `copy`, which products take from now on in place of x. */
RS_API int rs_keep_bfloat16(const float *x, int64_t count, void *copy) {
  Kept *place = find(x);
  if (!place && used == room) {
    int64_t wanted = room ? 2 * room : 64;
    Kept *larger = realloc(kept, (size_t)wanted * sizeof *kept);
    if (!larger) return rs_fail(RS_OUT_OF_MEMORY, "no memory for the list of copies");
    kept = larger;
    room = wanted;
  }
  if (!place) place = &kept[used++];
  *place = (Kept){x, count, copy};
  return LAUNCH_EACH(pack_bfloat16, count, .out = copy, .x = x, .count = count);
}

/* What lies at x has changed, or is given back; nothing where there is no copy of it. */
RS_API int rs_forget_bfloat16(const float *x) {
  Kept *found = find(x);
  if (found) *found = kept[--used];
  return RS_OK;
}
