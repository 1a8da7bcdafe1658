/* http/parser_lib.h - libhttp-parser under names that do not collide with http/server.h. */
#pragma once
#define http_method http_parser_lib_method
#include <http_parser.h>
#undef http_method
