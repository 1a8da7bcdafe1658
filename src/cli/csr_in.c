#include "cli/csr_in.h"
#include "base/text.h"

enum { CSR_MAX = 256 << 10 };

json_t *csr_document(struct cli *c, const char *path)
{
    struct slice bytes;
    if (!cli_read_file(c, path, CSR_MAX, &bytes))
        return NULL;
    struct buf b;
    buf_init(&b, 4 * CSR_MAX);
    if (bytes.n && bytes.p[0] != 0x30 && utf8_valid(bytes))
        buf_put_slice(&b, bytes);
    else
        buf_put_base64(&b, bytes, BASE64_STD, 0);
    json_t *doc = json_pack("{s:s}", "csr", buf_str(&b));
    buf_done(&b);
    static const char *const keys[] = {"profile", "endpoint", "device", "renews", NULL};
    for (size_t i = 0; doc && keys[i]; i++)
        if (cli_has(c, keys[i]))
            json_object_set_new(doc, keys[i], json_string(cli_get(c, keys[i])));
    if (!doc)
        cli_fail(c, "out of memory");
    return doc;
}
