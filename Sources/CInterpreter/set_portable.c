// The set of handlers that runs on every machine of the target architecture.
#define NAME(name) portable_##name
#include "handler_set.h"

const bindery_handler_set bindery_portable_set = {"portable", NAME(table), sizeof NAME(table) / sizeof *NAME(table)};
