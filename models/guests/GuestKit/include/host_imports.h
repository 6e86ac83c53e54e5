// What the host gives a guest besides memories and tensor operations.
#ifndef BINDERY_GUEST_HOST_IMPORTS_H
#define BINDERY_GUEST_HOST_IMPORTS_H

#include <stdint.h>

/// A line for the host's log: UTF-8 text in memory 0.
__attribute__((import_module("bindery"), import_name("log"))) void host_log(const uint8_t *text, int32_t byte_count);

#endif
