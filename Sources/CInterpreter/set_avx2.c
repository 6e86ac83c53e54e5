// The set of handlers for x86-64 machines with AVX2 and FMA: three-operand instructions, byte shuffles, rounding.
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("avx,avx2,fma,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#define BINDERY_AVX2 1
#define NAME(name) avx2_##name
#include "handler_set.h"
#pragma clang attribute pop

const bindery_handler_set bindery_avx2_set = {"avx2", NAME(table), sizeof NAME(table) / sizeof *NAME(table)};
#else
typedef int bindery_no_avx2;
#endif
