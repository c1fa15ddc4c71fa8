/* The one unit that implements the header. */
#define LINEAGE_IMPLEMENTATION
#include "../../lineage.h"
