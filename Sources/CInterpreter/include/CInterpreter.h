#pragma once
#include "memory_view.h"
#include "interpreter.h"
