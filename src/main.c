#include "cli/cli.h"
#include "keys/signer.h"
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], SIGNER_ARGUMENT) == 0)
        signer_program();
    return cli_main(argc, argv);
}
