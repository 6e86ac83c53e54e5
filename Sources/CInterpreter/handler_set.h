// One set of handlers: the operations they use, those written by hand, and the generated ones.
#include "handlers.h"
#include "scalar_operations.h"
#include "vector_operations.h"
#include "control_handlers.h"
#include "register_handlers.generated.h"
