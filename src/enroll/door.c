#include "enroll/door.h"
#include "enroll/est/est.h"

const struct door_descriptor *const doors[] = {&est_door, NULL};
