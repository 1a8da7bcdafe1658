/* api/resources.h - the resources of all kinds over REST. Layer 5. */
#pragma once
#include "api/api.h"
extern const struct api_route resource_api_routes[];
