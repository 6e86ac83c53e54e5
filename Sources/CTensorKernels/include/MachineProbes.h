// What a processor can do at most, with nothing else in the way: reads of memory, moves within caches, arithmetic in registers.
// A benchmark gives the speed of a kernel as a share of these. They run at the level in use (see tk_level), on the calling
// thread; each returns what it computed, which a plain loop computes too.
#ifndef BINDERY_MACHINEPROBES_H
#define BINDERY_MACHINEPROBES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The sum modulo 2^32 of the 32-bit words of `byte_count` bytes (a multiple of 4), times `passes`. The bytes are read as
/// `streams` (1, 2, 4 or 8; any other number counts as 1) regions of equal length, 256 bytes of each in turn; lines `ahead` bytes
/// further on in each stream are prefetched, unless ahead is 0.
uint32_t tk_probe_read(const void *p, ptrdiff_t byte_count, int streams, ptrdiff_t ahead, ptrdiff_t passes);

/// Writes `byte_count` bytes (a multiple of 4), `passes` times: 32-bit words a + b, or a + addend where b is null, or addend where
/// both are. Ordinary stores; out may equal a.
void tk_probe_write(void *out, const void *a, const void *b, uint32_t addend, ptrdiff_t byte_count, ptrdiff_t passes);

/// x = x * a + b, `turns` times, in every lane of as many independent registers as keep the units for it busy, from x = 0; fused
/// where the level has it. Stores the sum of all x; returns the number of floating-point operations, two for each multiply-add.
ptrdiff_t tk_probe_float(float *sum, float a, float b, ptrdiff_t turns);

/// x += a * b as the products with quantised weights compute it: 8-bit integers, 32-bit sums (vpdpbusd with AVX-512; vpmaddubsw,
/// added up in 16 bits as for 4-bit weights, with AVX2; 16-bit products in plain C). a is at most 15, b at least -127.
/// Stores the sum modulo 2^32 of all x; returns the number of operations, two for each multiply-add.
ptrdiff_t tk_probe_integer(uint32_t *sum, uint8_t a, int8_t b, ptrdiff_t turns);

#ifdef __cplusplus
}
#endif
#endif
