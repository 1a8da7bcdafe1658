/* cli/commands.h - the tables of commands, one a file. Layer 6. */
#pragma once
struct command;

extern const struct command serve_commands[];
extern const struct command bench_commands[];
