// What gcc's -fsanitize-coverage=trace-pc,trace-cmp calls: blocks become the counters that libFuzzer reads, and comparisons are
// handed to it. All of this is hidden, for libFuzzer has functions of these names too, of which the first counts nothing.
#include <stdint.h>
#include <stdlib.h>

#pragma GCC visibility push(hidden)

#define BLOCKS 4096

static uint8_t counters[BLOCKS];
static uintptr_t places[BLOCKS][2];
static uintptr_t known[BLOCKS];
static int used;
static void (*compared)(uint64_t, uint64_t);

void __sanitizer_cov_trace_pc(void) {
    uintptr_t place = (uintptr_t)__builtin_return_address(0);
    unsigned at = (unsigned)place * 2654435761u % BLOCKS;
    while (known[at] != place) {
        if (known[at] == 0) {
            if (++used > BLOCKS / 2) abort();
            known[at] = place;
            break;
        }
        at = (at + 1) % BLOCKS;
    }
    if (counters[at] < 255) ++counters[at];
}

static void compare(uint64_t a, uint64_t b) {
    if (compared) compared(a, b);
}

void __sanitizer_cov_trace_cmp1(uint8_t a, uint8_t b) { compare(a, b); }
void __sanitizer_cov_trace_cmp2(uint16_t a, uint16_t b) { compare(a, b); }
void __sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b) { compare(a, b); }
void __sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b) { compare(a, b); }
void __sanitizer_cov_trace_const_cmp1(uint8_t a, uint8_t b) { compare(a, b); }
void __sanitizer_cov_trace_const_cmp2(uint16_t a, uint16_t b) { compare(a, b); }
void __sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b) { compare(a, b); }
void __sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b) { compare(a, b); }
void __sanitizer_cov_trace_cmpf(float a, float b) { (void)a, (void)b; }
void __sanitizer_cov_trace_cmpd(double a, double b) { (void)a, (void)b; }
void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases) {
    for (uint64_t i = 0; i < cases[0]; ++i) compare(value, cases[2 + i]);
}

#pragma GCC visibility pop

void register_counters(void (*counters_init)(uint8_t *, uint8_t *), void (*pcs_init)(const uintptr_t *, const uintptr_t *),
                       void (*trace_cmp8)(uint64_t, uint64_t)) {
    for (int i = 0; i < BLOCKS; ++i) places[i][0] = (uintptr_t)&places[i];
    counters_init(counters, counters + BLOCKS);
    pcs_init(places[0], places[BLOCKS]);
    compared = trace_cmp8;
}
