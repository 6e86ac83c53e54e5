#pragma once
#include "memory_view.h"
