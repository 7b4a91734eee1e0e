/* meta.c: see meta.h. */
#include "meta.h"

const char *iu__jmeta_name(iu_meta which) {
  switch (which) {
    case IU_META_OWNER: return "owner";
    case IU_META_DATABASE_IDENTITY: return "database_identity";
    case IU_META_MODULES: return "modules";
    case IU_META_COUNT: break;
  }
  return "";
}

const uint8_t *iu__jmeta_get(const iu_meta_set *m, iu_meta which, size_t *len) {
  *len = m->slots[which].len;
  return m->slots[which].present ? m->slots[which].bytes : NULL;
}

void iu__jmeta_put(iu_meta_set *m, iu_meta which, const void *bytes, size_t len) {
  if (len != 0) memcpy(m->slots[which].bytes, bytes, len);
  m->slots[which].len = len;
  m->slots[which].present = true;
}
