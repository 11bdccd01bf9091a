//go:build cgo

#include "shim.h"

#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

/* The engine's store data is the cgo.Handle of our Instance. */
static void shim_store_finalize(void *data) { goStoreFinalize((uintptr_t)data); }

wasmtime_store_t *shim_store_new(wasm_engine_t *engine, uintptr_t h,
                                 int64_t memory, int64_t elements,
                                 int64_t instances, int64_t tables,
                                 int64_t memories) {
  wasmtime_store_t *s = wasmtime_store_new(engine, (void *)h, shim_store_finalize);
  wasmtime_store_limiter(s, memory, elements, instances, tables, memories);
  /* Without a deadline the first epoch check of a start function traps: the
   * deadline of a new store is the current epoch. */
  wasmtime_context_set_epoch_deadline(wasmtime_store_context(s), 1);
  return s;
}

/* One linker serves every instance of a program, so a callback is told which
 * import it is by its data (an index) and which instance it serves by the store
 * it is called with. */
static wasmtime_error_t *shim_host_call(void *data, wasmtime_context_t *ctx,
                                        const wasmtime_component_func_type_t *type,
                                        wasmtime_component_val_t *args,
                                        size_t nargs,
                                        wasmtime_component_val_t *results,
                                        size_t nresults) {
  (void)type;
  /* An empty Rust vector points at 0x8, which Go's runtime takes for a bug when
   * it moves a stack that holds it ("invalid pointer found on stack"). */
  return goHostCall((uintptr_t)wasmtime_context_get_data(ctx), ctx, (size_t)data,
                    nargs ? args : NULL, nargs, nresults ? results : NULL,
                    nresults);
}

static wasmtime_error_t *shim_host_drop(void *data, wasmtime_context_t *ctx,
                                        uint32_t rep) {
  return goHostDrop((uintptr_t)wasmtime_context_get_data(ctx), (size_t)data, rep);
}

wasmtime_error_t *shim_add_func(wasmtime_component_linker_instance_t *li,
                                const char *name, size_t len, size_t index) {
  return wasmtime_component_linker_instance_add_func(
      li, name, len, shim_host_call, (void *)index, NULL);
}

wasmtime_error_t *shim_add_resource(wasmtime_component_linker_instance_t *li,
                                    const char *name, size_t len,
                                    uint32_t index) {
  wasmtime_component_resource_type_t *ty =
      wasmtime_component_resource_type_new_host(index);
  wasmtime_error_t *err = wasmtime_component_linker_instance_add_resource(
      li, name, len, ty, shim_host_drop, (void *)(uintptr_t)index, NULL);
  wasmtime_component_resource_type_delete(ty);
  return err;
}

wasmtime_error_t *shim_call(const wasmtime_component_instance_t *instance,
                            wasmtime_context_t *ctx,
                            const wasmtime_component_export_index_t *index,
                            wasmtime_component_func_t *func,
                            const wasmtime_component_val_t *args, size_t nargs,
                            wasmtime_component_val_t *result, bool *no_func) {
  *no_func = !wasmtime_component_instance_get_func(instance, ctx, index, func);
  if (*no_func)
    return NULL;
  if (result != NULL)
    memset(result, 0, sizeof *result);
  wasmtime_context_set_epoch_deadline(ctx, 1);
  return wasmtime_component_func_call(func, ctx, args, nargs, result,
                                      result != NULL);
}

wasmtime_error_t *shim_call_done(wasmtime_context_t *ctx,
                                 const wasmtime_component_func_t *func,
                                 wasmtime_component_val_t *result) {
  /* The result is the engine's copy, so it outlives post-return. */
  wasmtime_error_t *err = wasmtime_component_func_post_return(func, ctx);
  if (result != NULL)
    wasmtime_component_val_delete(result);
  return err;
}

wasmtime_error_t *shim_host_error(void) {
  return wasmtime_error_new("host function failed");
}

void *shim_alloc(size_t n) { return malloc(n); }

void shim_free(void *p) { free(p); }

wasmtime_error_t *shim_core_call(wasmtime_context_t *ctx,
                                 const wasmtime_func_t *func,
                                 const int32_t *args, size_t nargs,
                                 int32_t *results, size_t nresults,
                                 wasmtime_val_t *scratch, wasm_trap_t **trap) {
  /* Arguments are read before results are written, so the two share. */
  for (size_t i = 0; i < nargs; i++) {
    memset(&scratch[i], 0, sizeof scratch[i]);
    scratch[i].kind = WASMTIME_I32;
    scratch[i].of.i32 = args[i];
  }
  wasmtime_context_set_epoch_deadline(ctx, 1);
  wasmtime_error_t *err =
      wasmtime_func_call(ctx, func, scratch, nargs, scratch, nresults, trap);
  if (err == NULL && *trap == NULL)
    for (size_t i = 0; i < nresults; i++)
      results[i] = scratch[i].of.i32;
  return err;
}

static bool shim_core_export(wasmtime_context_t *ctx,
                             const wasmtime_instance_t *in, const char *name,
                             size_t len, wasmtime_extern_kind_t kind,
                             wasmtime_extern_t *out) {
  if (!wasmtime_instance_export_get(ctx, in, name, len, out))
    return false;
  if (out->kind == kind)
    return true;
  wasmtime_extern_delete(out);
  return false;
}

bool shim_core_func(wasmtime_context_t *ctx, const wasmtime_instance_t *in,
                    const char *name, size_t len, wasmtime_func_t *out) {
  wasmtime_extern_t e;
  if (!shim_core_export(ctx, in, name, len, WASMTIME_EXTERN_FUNC, &e))
    return false;
  *out = e.of.func; /* plain data: only shared memories own something */
  return true;
}

bool shim_core_memory(wasmtime_context_t *ctx, const wasmtime_instance_t *in,
                      const char *name, size_t len, wasmtime_memory_t *out) {
  wasmtime_extern_t e;
  if (!shim_core_export(ctx, in, name, len, WASMTIME_EXTERN_MEMORY, &e))
    return false;
  *out = e.of.memory;
  return true;
}

static bool shim_frames_exceed(wasm_frame_vec_t *frames, size_t max) {
  size_t n = 0;
  for (size_t i = 0; i < frames->size && n <= max; i++) {
    const wasm_name_t *f = wasmtime_frame_func_name(frames->data[i]);
    const wasm_name_t *m = wasmtime_frame_module_name(frames->data[i]);
    n += 32 + (f ? f->size : 0) + (m ? m->size : 0);
  }
  wasm_frame_vec_delete(frames);
  return n > max;
}

bool shim_trace_exceeds(const wasmtime_error_t *err, size_t max) {
  wasm_frame_vec_t frames = {0, NULL};
  wasmtime_error_wasm_trace(err, &frames);
  return shim_frames_exceed(&frames, max);
}

bool shim_trap_trace_exceeds(const wasm_trap_t *trap, size_t max) {
  wasm_frame_vec_t frames = {0, NULL};
  wasm_trap_trace(trap, &frames);
  return shim_frames_exceed(&frames, max);
}

void shim_bytes_lower(wasmtime_component_val_t *dst, const uint8_t *src,
                      size_t n) {
  for (size_t i = 0; i < n; i++) {
    dst[i].kind = WASMTIME_COMPONENT_U8;
    dst[i].of.u8 = src[i];
  }
}

bool shim_bytes_lift(uint8_t *dst, const wasmtime_component_val_t *src,
                     size_t n) {
  uint8_t wrong = 0;
  for (size_t i = 0; i < n; i++) {
    wrong |= src[i].kind ^ WASMTIME_COMPONENT_U8;
    dst[i] = src[i].of.u8;
  }
  return wrong == 0;
}

wasmtime_error_t *shim_resource_new(wasmtime_context_t *ctx, uint32_t type,
                                    uint32_t rep,
                                    wasmtime_component_resource_any_t **out) {
  wasmtime_component_resource_host_t *host =
      wasmtime_component_resource_host_new(true, rep, type);
  wasmtime_error_t *err = wasmtime_component_resource_host_to_any(ctx, host, out);
  wasmtime_component_resource_host_delete(host);
  return err;
}

wasmtime_error_t *shim_resource_take(wasmtime_context_t *ctx,
                                     const wasmtime_component_resource_any_t *any,
                                     uint32_t *type, uint32_t *rep) {
  wasmtime_component_resource_host_t *host = NULL;
  wasmtime_error_t *err = wasmtime_component_resource_any_to_host(ctx, any, &host);
  if (err != NULL)
    return err;
  *type = wasmtime_component_resource_host_type(host);
  *rep = wasmtime_component_resource_host_rep(host);
  wasmtime_component_resource_host_delete(host);
  return NULL;
}
