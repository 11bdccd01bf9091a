/* Small C functions that make one cgo crossing out of several C API calls, and
 * the static callbacks whose addresses the engine is given. Function pointers
 * to Go code never leave this side of the border; what travels through void*
 * is a cgo.Handle or a plain index, never a Go pointer. */
#ifndef SHIM_H
#define SHIM_H

#include "capi.h"

/* Makes a store whose data is the cgo.Handle h. Deleting the store deletes the
 * handle, exactly once. Limits below zero mean none. */
wasmtime_store_t *shim_store_new(wasm_engine_t *engine, uintptr_t h,
                                 int64_t memory, int64_t elements,
                                 int64_t instances, int64_t tables,
                                 int64_t memories);

/* Defines import number `index` of the program, see shim_host_call in shim.c. */
wasmtime_error_t *shim_add_func(wasmtime_component_linker_instance_t *li,
                                const char *name, size_t len, size_t index);
wasmtime_error_t *shim_add_resource(wasmtime_component_linker_instance_t *li,
                                    const char *name, size_t len,
                                    uint32_t index);

/* Arms the epoch deadline and calls one exported function. result may be NULL
 * for a function without one; otherwise it is reset to bool false first,
 * because the engine assigns into the slot and so drops what it held. */
wasmtime_error_t *shim_call(const wasmtime_component_instance_t *instance,
                            wasmtime_context_t *ctx,
                            const wasmtime_component_export_index_t *index,
                            wasmtime_component_func_t *func,
                            const wasmtime_component_val_t *args, size_t nargs,
                            wasmtime_component_val_t *result, bool *no_func);

/* Calls a core function of i32 parameters and results. scratch holds
 * max(nargs, nresults) values. Exactly one of the returned error and *trap is
 * set on failure; results are written only on success. */
wasmtime_error_t *shim_core_call(wasmtime_context_t *ctx,
                                 const wasmtime_func_t *func,
                                 const int32_t *args, size_t nargs,
                                 int32_t *results, size_t nresults,
                                 wasmtime_val_t *scratch, wasm_trap_t **trap);

/* Exported item of a core instance; false when it is absent or of another
 * kind. */
bool shim_core_func(wasmtime_context_t *ctx, const wasmtime_instance_t *in,
                    const char *name, size_t len, wasmtime_func_t *out);
bool shim_core_memory(wasmtime_context_t *ctx, const wasmtime_instance_t *in,
                      const char *name, size_t len, wasmtime_memory_t *out);

/* Memory for values on their way to the engine; NULL when there is none. cgo's
 * own C.malloc would end the process instead. */
void *shim_alloc(size_t n);
void shim_free(void *p);

/* Runs post-return and frees the result; call once after each successful
 * shim_call. */
wasmtime_error_t *shim_call_done(wasmtime_context_t *ctx,
                                 const wasmtime_component_func_t *func,
                                 wasmtime_component_val_t *result);

/* The error that stands for one parked on the Go side. */
wasmtime_error_t *shim_host_error(void);

/* Whether formatting the backtrace would take more than max bytes for names.
 * Asking for a name copies it, so asking stops there. */
bool shim_trace_exceeds(const wasmtime_error_t *err, size_t max);
bool shim_trap_trace_exceeds(const wasm_trap_t *trap, size_t max);

/* list<u8> there and back. */
void shim_bytes_lower(wasmtime_component_val_t *dst, const uint8_t *src, size_t n);
/* Returns false when an element is not a u8. */
bool shim_bytes_lift(uint8_t *dst, const wasmtime_component_val_t *src, size_t n);

/* Turns a host resource into a value the engine can lower. */
wasmtime_error_t *shim_resource_new(wasmtime_context_t *ctx, uint32_t type,
                                    uint32_t rep,
                                    wasmtime_component_resource_any_t **out);
/* Reads a host resource and takes it out of the engine's table. */
wasmtime_error_t *shim_resource_take(wasmtime_context_t *ctx,
                                     const wasmtime_component_resource_any_t *any,
                                     uint32_t *type, uint32_t *rep);

#endif
