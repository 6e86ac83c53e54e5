// What Swift cannot import from the C library, or must not do in Swift: page operations, the SIGBUS handler, futexes,
// threads and processors, and the sandbox around the process.
#pragma once
#include "bindery_fault.h"
#include "bindery_files.h"
#include "bindery_futex.h"
#include "bindery_lock.h"
#include "bindery_pages.h"
#include "bindery_sandbox.h"
#include "bindery_threads.h"
