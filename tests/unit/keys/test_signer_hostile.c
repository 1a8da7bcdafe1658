/* A taken-over server: whatever it writes to the signer's socket, and whatever a taken-over signer would try. */
#include "keys/key.h"
#include "keys/signer_core.h"
#include "keys/signer_proto.h"
#include "keys/signer_sandbox.h"
#include "keys_test.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static struct slice issuing_spki, device_spki;

static int setup(void **state)
{
    struct envelope e;
    struct key *k;
    struct secret pass = test_passphrase("pass");
    if (test_setup(state) != 0)
        return -1;
    e = test_envelope("issuing");
    const char *dns[] = {"example.org"};
    e.permit_dns = dns;
    e.n_permit_dns = 1;
    test_store_key(&e, KEY_ALG_EC_P256, 0);
    assert_ok(key_load(&k, &e, test_arena, test_dir, "issuing", &pass, NULL));
    assert_ok(arena_copy(&issuing_spki, test_arena, key_spki(k)));
    key_free(k);
    assert_ok(key_generate(&k, KEY_ALG_EC_P256, 0, NULL));
    assert_ok(arena_copy(&device_spki, test_arena, key_spki(k)));
    key_free(k);
    secret_done(&pass);
    return 0;
}

/* ---- a signer on a thread, with the rules of the process, and its raw socket ---- */

struct victim {
    struct core *core;
    int fd, core_fd;
    pthread_t thread;
    struct buf in;
};

static void *serve(void *arg)
{
    struct victim *v = arg;
    core_serve(v->core, v->core_fd);
    core_close(v->core);
    close(v->core_fd);
    return NULL;
}

static bool read_frame(struct victim *v, enum proto_type *ret_type, struct slice *ret_body)
{
    for (;;) {
        size_t n;
        tm_err err = proto_frame(ret_type, &n, buf_slice(&v->in), PROTO_REPLY_MAX);
        if (err == TM_OK) {
            assert_ok(
                arena_copy(ret_body, test_arena, slice_sub(buf_slice(&v->in), PROTO_HEAD, n - PROTO_HEAD)));
            buf_consume(&v->in, n);
            return true;
        }
        assert_int_equal(err, TM_EPENDING);
        uint8_t chunk[8192];
        ssize_t got = recv(v->fd, chunk, sizeof chunk, 0);
        if (got <= 0)
            return false;
        buf_put(&v->in, chunk, (size_t)got);
    }
}

static void begin(struct victim *v)
{
    int pair[2];
    enum proto_type type;
    struct slice body;
    struct secret pass = test_passphrase("pass");
    int dir = open(test_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_ok(core_open(&v->core, dir, &pass, false, NULL));
    secret_done(&pass);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    v->fd = pair[0];
    v->core_fd = pair[1];
    buf_init(&v->in, PROTO_REPLY_MAX + 8192);
    assert_int_equal(pthread_create(&v->thread, NULL, serve, v), 0);
    assert_true(read_frame(v, &type, &body));
    assert_int_equal(type, PROTO_HELLO);
}

static void end(struct victim *v)
{
    close(v->fd);
    pthread_join(v->thread, NULL);
    buf_done(&v->in);
}

static void write_bytes(struct victim *v, struct slice s)
{
    while (s.n) {
        ssize_t n = send(v->fd, s.p, s.n, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        s = slice_of(s.p + n, s.n - (size_t)n);
    }
}

static void write_with_fd(struct victim *v, struct slice s, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)s.p, .iov_len = s.n};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = CMSG_SPACE(n_fds * sizeof(int))};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
    memcpy(CMSG_DATA(h), fds, n_fds * sizeof(int));
    assert_int_equal(sendmsg(v->fd, &m, MSG_NOSIGNAL), s.n);
}

static void frame_of(struct buf *out, const struct proto_op *ops, size_t n)
{
    buf_init(out, 8 << 20);
    size_t at = proto_begin(out, PROTO_SIGN);
    proto_put_uint(out, n, 2);
    for (size_t i = 0; i < n; i++)
        proto_put_op(out, &ops[i]);
    proto_finish(out, at);
    assert_ok(buf_err(out));
}

/* The answer to one operation. */
static void read_one(struct victim *v, struct proto_result *ret)
{
    enum proto_type type;
    struct slice body;
    struct proto_reader r;
    assert_true(read_frame(v, &type, &body));
    assert_int_equal(type, PROTO_SIGN);
    proto_reader_init(&r, body);
    assert_int_equal(proto_read_uint(&r, 2), 1);
    assert_ok(proto_read_result(&r, ret));
    assert_ok(proto_end(&r));
}

static tm_err ask(struct victim *v, const struct proto_op *op, const char *rule)
{
    struct buf out;
    struct proto_result result;
    frame_of(&out, op, 1);
    write_bytes(v, buf_slice(&out));
    buf_done(&out);
    read_one(v, &result);
    assert_int_equal(result.tag, op->tag);
    if (rule)
        assert_string_equal(result.diag.rule, rule);
    return result.err;
}

static struct proto_op op_for(unsigned kind, const struct test_cert *t)
{
    static uint32_t tag = 7;
    size_t offset = 0;
    struct proto_op op = {.tag = ++tag, .kind = kind, .key_id = SLICE_LIT("issuing")};
    op.tbs = test_tbs(t, device_spki, &offset);
    op.serial_offset = (uint32_t)offset;
    return op;
}

static void test_hostile__what_a_leaf_key_will_not_sign(void **state)
{
    (void)state;
    struct victim v;
    begin(&v);
    static const struct {
        unsigned kind, flags;
        struct test_cert cert;
        const char *rule;
    } cases[] = {
        {SIGN_CA, 0, {.ca = true}, "envelope.allow"},
        {SIGN_LEAF, 0, {.ca = true}, "RFC 5280 4.2.1.9"},
        {SIGN_CA, 0, {0}, "RFC 5280 4.2.1.9"},
        {SIGN_LEAF, 0, {.ku = KU_KEY_CERT_SIGN}, "RFC 5280 4.2.1.3"},
        {SIGN_LEAF, 0, {.ku = KU_CRL_SIGN}, "RFC 5280 4.2.1.3"},
        {SIGN_LEAF, 0, {.subject = "CN=Test CA,O=Example"}, "envelope.subject"},
        {SIGN_LEAF, 0, {.ekus = {OID_EKU_OCSP_SIGNING}}, "envelope.ekus"},
        {SIGN_LEAF, 0, {.ekus = {OID_EKU_SERVER_AUTH, OID_EKU_CMC_RA}}, "envelope.ekus"},
        {SIGN_LEAF, 0, {.ekus = {OID_EKU_CMC_CA}}, "envelope.ekus"},
        {SIGN_LEAF, 0, {.ekus = {OID_EKU_CM_KGA}}, "envelope.ekus"},
        {SIGN_LEAF, 0, {.ekus = {OID_EKU_ANY}}, "envelope.ekus"},
        {SIGN_LEAF, 0, {.dns = "bank.test"}, "envelope.permit_dns"},
        {SIGN_LEAF, 0, {.dns = "example.org", .subject = "CN=bank.test"}, "envelope.permit_dns"},
        {SIGN_LEAF, 0, {.issuer = "CN=Another CA"}, "envelope.issuer"},
        {SIGN_LEAF, 0, {.not_after = 5000LL * 86400}, "envelope.lifetime"},
        {SIGN_LEAF, 0, {.absolute_not_after = TM_TIME_NEVER}, "envelope.lifetime"},
        {SIGN_LEAF, PROTO_FLAG_ADOPT, {0}, "signer.adopt_serial"},
        {SIGN_CA, PROTO_FLAG_ADOPT, {.ca = true}, "signer.adopt_serial"},
        {SIGN_LEAF, PROTO_FLAG_RA, {.ekus = {OID_EKU_CMC_RA}}, "signer.ra"},
        {SIGN_CA, PROTO_FLAG_RA, {.ca = true}, "signer.ra"},
        {SIGN_CHECKPOINT, 0, {0}, NULL},
        {SIGN_CRL, 0, {0}, NULL},
        {SIGN_OCSP, 0, {0}, "envelope.allow"},
        {SIGN_CMS, 0, {0}, "envelope.allow"},
        {SIGN_CMP, 0, {0}, "envelope.allow"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct proto_op op = op_for(cases[i].kind, &cases[i].cert);
        op.flags = cases[i].flags;
        assert_int_equal(ask(&v, &op, cases[i].rule), TM_EDENIED);
    }
    struct test_cert good = {.dns = "a.example.org"};
    struct proto_op op = op_for(SIGN_LEAF, &good);
    assert_ok(ask(&v, &op, NULL)); /* it lives on and does its work */
    end(&v);
}

static void test_hostile__serials_are_not_the_servers(void **state)
{
    (void)state;
    struct victim v;
    begin(&v);
    struct test_cert t = {0};
    struct proto_op op = op_for(SIGN_LEAF, &t);
    uint8_t seen[8][16];
    for (int i = 0; i < 8; i++) {
        struct buf out;
        struct proto_result r;
        frame_of(&out, &op, 1);
        write_bytes(&v, buf_slice(&out));
        buf_done(&out);
        read_one(&v, &r);
        assert_ok(r.err);
        memcpy(seen[i], r.serial, 16);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(seen[i], seen[j], 16);
    }
    /* One that was given out, asked for again; and one of the server's choice. */
    for (int i = 0; i < 2; i++) {
        struct test_cert chosen = {.serial = seen[i], .serial_n = 16};
        if (i)
            memset(seen[i] + 6, 0x42, 10);
        op = op_for(SIGN_LEAF, &chosen);
        assert_int_equal(ask(&v, &op, "envelope.serial"), TM_EDENIED);
    }
    op = op_for(SIGN_LEAF, &t);
    op.serial_offset = 0;
    assert_int_equal(ask(&v, &op, "signer.serial_offset"), TM_EINVAL);
    op.serial_offset = UINT32_MAX;
    assert_int_equal(ask(&v, &op, "signer.serial_offset"), TM_EINVAL);
    end(&v);
}

/* No frame gets a private key: the longest answers hold public facts only. */
static void test_hostile__no_answer_holds_a_key(void **state)
{
    (void)state;
    struct victim v;
    struct envelope e;
    struct key *k;
    struct secret pass = test_passphrase("pass"), der;
    assert_ok(key_load(&k, &e, test_arena, test_dir, "issuing", &pass, NULL));
    assert_ok(key_export_pkcs8(&der, k));
    begin(&v);
    for (unsigned type = PROTO_INFO; type < PROTO_TYPE_END; type++) {
        struct buf out;
        enum proto_type got;
        struct slice body;
        buf_init(&out, 64);
        size_t at = proto_begin(&out, (enum proto_type)type);
        proto_put_uint(&out, 1, 4);
        if (type == PROTO_JOURNAL)
            proto_put_uint(&out, 0, 8);
        proto_finish(&out, at);
        write_bytes(&v, buf_slice(&out));
        assert_true(read_frame(&v, &got, &body));
        assert_int_equal(got, type);
        /* The private scalar: 32 octets in the middle of the PKCS#8. */
        assert_null(memmem(body.p, body.n, der.p + 36, 32));
        assert_null(memmem(body.p, body.n, "pass", 4));
        buf_done(&out);
    }
    end(&v);
    secret_done(&der);
    secret_done(&pass);
    key_free(k);
}

static void hang_up_after(const void *bytes, size_t n)
{
    struct victim v;
    enum proto_type type;
    struct slice body;
    begin(&v);
    write_bytes(&v, slice_of(bytes, n));
    shutdown(v.fd, SHUT_WR);
    while (read_frame(&v, &type, &body))
        assert_int_not_equal(type, PROTO_HELLO);
    end(&v);
}
#define HANG_UP_AFTER(lit) hang_up_after((lit), sizeof(lit) - 1)

static void test_hostile__malformed_frames_end_the_connection(void **state)
{
    (void)state;
    HANG_UP_AFTER("\0\0\0\0\2");           /* no type */
    HANG_UP_AFTER("\xff\xff\xff\xff\2");   /* 4 GiB */
    HANG_UP_AFTER("\0\x40\0\1\2");         /* one over the limit */
    HANG_UP_AFTER("\0\0\0\1\0");           /* no such type */
    HANG_UP_AFTER("\0\0\0\1\x63");         /* no such type */
    HANG_UP_AFTER("\0\0\0\5\1\0\0\0\0");   /* HELLO is the signer's */
    HANG_UP_AFTER("\0\0\0\3\2\0\0");       /* no operation */
    HANG_UP_AFTER("\0\0\0\3\2\1\1");       /* 257 operations */
    HANG_UP_AFTER("\0\0\0\3\2\0\1");       /* one that is not there */
    HANG_UP_AFTER("\0\0\0\2\3\0");         /* INFO without a tag */
    HANG_UP_AFTER("\0\0\0\6\3\0\0\0\0\0"); /* trailing octet */
    HANG_UP_AFTER("\0\0\0\5\5\0\0\0\0");   /* JOURNAL without a position */
    HANG_UP_AFTER("\0\0\0\x17\2\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff"); /* truncated */
    HANG_UP_AFTER("\0\0");

    struct test_cert t = {0};
    struct proto_op op = op_for(SIGN_LEAF, &t);
    struct buf out;
    frame_of(&out, &op, 1);
    for (size_t n = 1; n < out.n; n += 61)
        hang_up_after(out.p, n);
    out.p[out.n - 1] ^= 0; /* whole, then with kinds, algorithms and flags that do not exist */
    static const size_t at[] = {11, 12, 13};
    for (size_t i = 0; i < 3; i++) {
        uint8_t old = out.p[at[i]];
        out.p[at[i]] = 0xee;
        hang_up_after(out.p, out.n);
        out.p[at[i]] = old;
    }
    buf_done(&out);
}

static void test_hostile__random_bytes(void **state)
{
    (void)state;
    struct test_cert t = {.dns = "example.org"};
    struct proto_op ops[3] = {op_for(SIGN_LEAF, &t), op_for(SIGN_CRL, &t), op_for(SIGN_CHECKPOINT, &t)};
    struct buf out;
    frame_of(&out, ops, 3);
    srand(1);
    uint8_t *copy = malloc(out.n);
    for (int round = 0; round < 15; round++) {
        struct victim v;
        enum proto_type type;
        struct slice body;
        begin(&v);
        for (int i = 0; i < 20; i++) {
            memcpy(copy, out.p, out.n);
            for (int flips = 0; flips < 4; flips++)
                copy[5 + (size_t)rand() % (out.n - 5)] = (uint8_t)rand();
            write_bytes(&v, slice_of(copy, out.n));
        }
        shutdown(v.fd, SHUT_WR);
        while (read_frame(&v, &type, &body))
            ;
        end(&v);
    }
    free(copy);
    buf_done(&out);
}

static void test_hostile__a_full_batch_and_a_reader_who_does_not_read(void **state)
{
    (void)state;
    struct victim v;
    begin(&v);
    struct test_cert t = {0};
    struct proto_op ops[PROTO_BATCH_MAX];
    ops[0] = op_for(SIGN_LEAF, &t);
    for (size_t i = 1; i < PROTO_BATCH_MAX; i++) {
        ops[i] = ops[0];
        ops[i].tag = (uint32_t)i;
    }
    struct buf out;
    frame_of(&out, ops, PROTO_BATCH_MAX);
    for (int i = 0; i < 3; i++)
        write_bytes(&v, buf_slice(&out));
    size_t results = 0;
    while (results < 3 * (size_t)PROTO_BATCH_MAX) {
        enum proto_type type;
        struct slice body;
        assert_true(read_frame(&v, &type, &body));
        results += (size_t)body.p[0] << 8 | body.p[1];
    }
    /* Now it goes without having read anything. */
    int nonblocking = fcntl(v.fd, F_SETFL, O_NONBLOCK);
    assert_int_equal(nonblocking, 0);
    for (int i = 0; i < 100; i++)
        write_bytes(&v, buf_slice(&out));
    buf_done(&out);
    end(&v);
}

/* ---- memory passed beside the frame ---- */

static int memfd_of(struct slice s, int seals)
{
    int fd = memfd_create("crl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, s.p, s.n), s.n);
    /* EBUSY: the kernel has a page of it in hand, on a busy machine. */
    for (int i = 0; seals && fcntl(fd, F_ADD_SEALS, seals) != 0; i++) {
        assert_true(errno == EBUSY && i < 500);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return fd;
}

static tm_err ask_with(struct victim *v, const struct proto_op *op, int fd, const char *rule)
{
    struct buf out;
    struct proto_result result;
    frame_of(&out, op, 1);
    if (fd >= 0)
        write_with_fd(v, buf_slice(&out), &fd, 1);
    else
        write_bytes(v, buf_slice(&out));
    buf_done(&out);
    read_one(v, &result);
    if (rule)
        assert_string_equal(result.diag.rule, rule);
    if (fd >= 0)
        close(fd);
    return result.err;
}

static void test_hostile__memory_must_be_sealed(void **state)
{
    (void)state;
    enum { ALL = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL };
    struct victim v;
    struct buf crl;
    begin(&v);
    test_crl(&crl, "CN=Test CA,O=Example", SIG_ECDSA_SHA256, 10000);
    struct proto_op op = {.tag = 1,
                          .kind = SIGN_CRL,
                          .flags = PROTO_FLAG_MEMFD,
                          .key_id = SLICE_LIT("issuing"),
                          .tbs_size = crl.n};
    static const int lacking[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ask_with(&v, &op, memfd_of(buf_slice(&crl), ALL & ~lacking[i]), "signer.memfd"),
                         TM_EDENIED);
    assert_int_equal(ask_with(&v, &op, memfd_of(buf_slice(&crl), 0), "signer.memfd"), TM_EDENIED);
    assert_int_equal(ask_with(&v, &op, open("/dev/zero", O_RDONLY | O_CLOEXEC), "signer.memfd"), TM_EDENIED);
    assert_int_equal(ask_with(&v, &op, -1, "signer.memfd"), TM_EMALFORMED);
    op.tbs_size++;
    assert_int_equal(ask_with(&v, &op, memfd_of(buf_slice(&crl), ALL), "signer.memfd"), TM_EMALFORMED);
    op.tbs_size = UINT64_MAX;
    assert_int_equal(ask_with(&v, &op, memfd_of(buf_slice(&crl), ALL), "signer.memfd"), TM_EMALFORMED);
    op.tbs_size = crl.n;
    op.kind = SIGN_LEAF; /* its serial would have to be written */
    assert_int_equal(ask_with(&v, &op, memfd_of(buf_slice(&crl), ALL), "signer.memfd"), TM_EMALFORMED);
    op.kind = SIGN_CRL;
    assert_ok(ask_with(&v, &op, memfd_of(buf_slice(&crl), ALL), NULL));

    /* More descriptors than anybody needs are closed, not kept. */
    struct test_cert t = {0};
    struct proto_op leaf = op_for(SIGN_LEAF, &t);
    for (int round = 0; round < 100; round++) {
        struct buf out;
        struct proto_result result;
        int fds[8];
        for (int i = 0; i < 8; i++)
            fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        frame_of(&out, &leaf, 1);
        write_with_fd(&v, buf_slice(&out), fds, 8);
        buf_done(&out);
        for (int i = 0; i < 8; i++)
            close(fds[i]);
        read_one(&v, &result);
        assert_ok(result.err);
    }
    int probe = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(probe >= 0 && probe < 60);
    close(probe);
    buf_done(&crl);
    end(&v);
}

/* ---- a taken-over signer ---- */

enum attempt {
    TRY_NOTHING,
    TRY_SOCKET,
    TRY_EXECVE,
    TRY_FORK,
    TRY_PTRACE,
    TRY_CHMOD,
    TRY_KILL,
    TRY_MMAP_EXEC,
    TRY_MPROTECT_EXEC,
    TRY_CLONE3,
    TRY_SETUID,
    TRY_OPEN,
    TRY_PROCESS_VM_READV,
    TRY_COUNT
};

static int attempt(enum attempt what)
{
    char *argv[] = {(char[]){"/bin/true"}, NULL};
    void *page;
    switch (what) {
    case TRY_SOCKET:
        return socket(AF_INET, SOCK_STREAM, 0);
    case TRY_EXECVE:
        return execv(argv[0], argv);
    case TRY_FORK:
        return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    case TRY_PTRACE:
        return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    case TRY_CHMOD:
        return chmod(test_dir, 0777);
    case TRY_KILL:
        return kill(getppid(), 0);
    case TRY_MMAP_EXEC:
        page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return page == MAP_FAILED ? -1 : 0;
    case TRY_MPROTECT_EXEC:
        page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return mprotect(page, 4096, PROT_READ | PROT_EXEC);
    case TRY_CLONE3:
        return (int)syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS ? 0 : -1;
    case TRY_SETUID:
        return (int)syscall(SYS_setuid, 0);
    case TRY_OPEN:
        return openat(AT_FDCWD, "/etc/passwd", O_RDONLY) < 0 && errno == EACCES ? 0 : -1;
    case TRY_PROCESS_VM_READV:
        return (int)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
    default:
        return 0;
    }
}

/* How a process ends that enters the signer's confinement and tries it. */
static int confined(enum attempt what)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int dir, pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
            sandbox_begin(&dir, test_dir, NULL, pair[1], NULL) != TM_OK ||
            sandbox_close_in(dir, NULL) != TM_OK)
            _exit(99);
        _exit(attempt(what) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_sandbox__forbidden_calls_kill(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TRY_COUNT; i++) {
        int status = confined((enum attempt)i);
        bool harmless = i == TRY_NOTHING || i == TRY_CLONE3 || i == TRY_OPEN;
        if (harmless ? status != 0 : !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS))
            print_error("attempt %u: status %x\n", i, (unsigned)status);
        if (harmless)
            assert_int_equal(status, 0);
        else
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    }
}

static bool status_line(pid_t pid, const char *want)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = strncmp(line, want, strlen(want)) == 0;
    if (f)
        fclose(f);
    return found;
}

/* Where the process has its program: the address of its file's first mapping. */
static unsigned long program_address(pid_t pid)
{
    char path[64], program[512] = "", line[1024];
    assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    unsigned long address = 0;
    while (!address && fgets(line, sizeof line, f))
        if (strstr(line, program))
            address = strtoul(line, NULL, 16);
    fclose(f);
    return address;
}

static void test_sandbox__the_running_signer(void **state)
{
    (void)state;
    struct signer *s = NULL;
    struct secret pass = test_passphrase("pass");
    bool root = geteuid() == 0;
    struct signer_config c = {.key_dir = test_dir,
                              .passphrase = &pass,
                              .user = root ? "nobody" : NULL,
                              .program = "/proc/self/exe"};
    assert_ok(signer_start(&s, &c, NULL));
    pid_t pid = signer_pid(s);
    /* Executed anew: what the server knows of its own addresses says nothing of the signer's. */
    if (root)
        assert_int_not_equal(program_address(pid), program_address(getpid()));
    assert_true(status_line(pid, "Seccomp:\t2"));
    assert_true(status_line(pid, "NoNewPrivs:\t1"));
    struct stat st;
    char path[128];
    if (root) {
        assert_false(status_line(pid, "Uid:\t0"));
        assert_true(status_line(pid, "CapEff:\t0000000000000000"));
        snprintf(path, sizeof path, "%s/issuing.key", test_dir);
        assert_int_equal(stat(path, &st), 0);
        assert_int_not_equal(st.st_uid, 0); /* readable to the signer alone */
        assert_int_equal(st.st_mode & 07777, 0400);
    }
    /* Not dumpable: its memory belongs to root, and a user of the same id may not look. */
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    if (!root)
        assert_int_equal(open(path, O_RDONLY | O_CLOEXEC), -1);
    struct test_cert t = {0};
    struct sign_op op = {.kind = SIGN_LEAF, .key_id = "issuing"};
    op.tbs = test_tbs(&t, device_spki, &op.serial_offset);
    assert_ok(signer_sign(s, &op));
    /* New keys that root brings belong to the signer's user and can be loaded. */
    struct envelope e = test_envelope("brought");
    test_store_key(&e, KEY_ALG_ED25519, 0);
    assert_ok(signer_reload(s, NULL));
    assert_non_null(signer_key_find(s, "brought"));
    secret_done(&pass);
    signer_free(s);
    (void)issuing_spki;
}

static void test_sandbox__unknown_user(void **state)
{
    (void)state;
    struct signer *s = NULL;
    struct secret pass = test_passphrase("pass");
    struct signer_config c = {.key_dir = test_dir, .passphrase = &pass, .user = "no-such-user-here"};
    if (geteuid() == 0)
        assert_int_equal(signer_start(&s, &c, NULL), TM_ENOTFOUND);
    secret_done(&pass);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], SIGNER_ARGUMENT) == 0)
        signer_program();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox__forbidden_calls_kill),
        cmocka_unit_test(test_sandbox__the_running_signer),
        cmocka_unit_test(test_sandbox__unknown_user),
        cmocka_unit_test(test_hostile__what_a_leaf_key_will_not_sign),
        cmocka_unit_test(test_hostile__serials_are_not_the_servers),
        cmocka_unit_test(test_hostile__no_answer_holds_a_key),
        cmocka_unit_test(test_hostile__malformed_frames_end_the_connection),
        cmocka_unit_test(test_hostile__random_bytes),
        cmocka_unit_test(test_hostile__a_full_batch_and_a_reader_who_does_not_read),
        cmocka_unit_test(test_hostile__memory_must_be_sealed),
    };
    return cmocka_run_group_tests(tests, setup, test_teardown);
}
