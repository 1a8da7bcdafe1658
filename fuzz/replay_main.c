/* Runs one fuzz target over stored inputs: the main() of a fuzz target that is built without libFuzzer.
 * usage: fuzz_<target> FILE|DIRECTORY... */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST_INPUT = 16 << 20, LONGEST_PATH = 4096 };

static unsigned long replayed;

static int fail(const char *path, const char *what)
{
    fprintf(stderr, "%s: %s\n", path, what);
    return -1;
}

static int replay_file(const char *path, size_t size)
{
    if (size > LARGEST_INPUT)
        return fail(path, "larger than an input may be");
    FILE *f = fopen(path, "rb");
    if (!f)
        return fail(path, strerror(errno));
    /* Exactly as large as the input, so that a sanitizer sees the first byte read beyond it. */
    uint8_t *data = malloc(size ? size : 1);
    size_t got = data ? fread(data, 1, size, f) : 0;
    fclose(f);
    if (!data || got != size) {
        free(data);
        return fail(path, data ? "cannot be read whole" : "out of memory");
    }
    /* Said before the run, so that the log of a crash ends with the input that caused it. */
    if (getenv("FUZZ_VERBOSE"))
        fprintf(stderr, "%s (%zu bytes)\n", path, size);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed++;
    return 0;
}

static int replay_path(const char *path);

static int replay_directory(const char *path)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0)
        return fail(path, strerror(errno));
    int result = 0;
    for (int i = 0; i < n; i++) {
        char child[LONGEST_PATH];
        if (names[i]->d_name[0] != '.' && result == 0) {
            int len = snprintf(child, sizeof child, "%s/%s", path, names[i]->d_name);
            result = len < (int)sizeof child ? replay_path(child) : fail(path, "name too long");
        }
        free(names[i]);
    }
    free(names);
    return result;
}

static int replay_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return fail(path, strerror(errno));
    return S_ISDIR(st.st_mode) ? replay_directory(path) : replay_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE|DIRECTORY...\n", argv[0]);
        return 2;
    }
    /* The empty input is part of every corpus. */
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        if (replay_path(argv[i]) != 0)
            return 1;
    printf("%lu inputs\n", replayed);
    return 0;
}
