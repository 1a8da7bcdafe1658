#include "keys/signer_sandbox.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { DESCRIPTORS_MAX = 64 };

static tm_err sys_fail(struct diag *diag, const char *what)
{
    return diag_fail(diag, TM_EINTERNAL, "signer.sandbox", NULL, "%s: %s", what, strerror(errno));
}

/* Regular files only, links not followed: the directory may have been anybody's until now. */
static tm_err give_away(int dir, uid_t uid, gid_t gid, struct diag *diag)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d) {
        if (copy >= 0)
            close(copy);
        return sys_fail(diag, "cannot read the key directory");
    }
    bool good = fchown(dir, uid, gid) == 0 && fchmod(dir, 0700) == 0;
    for (const struct dirent *e; good && (e = readdir(d));) {
        struct stat st;
        if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
            good = fchownat(dir, e->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) == 0;
    }
    tm_err err = good ? TM_OK : sys_fail(diag, "cannot give the key directory to the signer's user");
    closedir(d);
    return err;
}

static tm_err become(int dir, const char *user, struct diag *diag)
{
    if (!user || geteuid() != 0)
        return TM_OK;
    errno = 0;
    const struct passwd *pw = getpwnam(user);
    if (!pw)
        return diag_fail(diag, TM_ENOTFOUND, "signer.user", user, "there is no user %s", user);
    uid_t uid = pw->pw_uid;
    gid_t gid = pw->pw_gid;
    TM_TRY(give_away(dir, uid, gid, diag));
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return sys_fail(diag, "cannot become the signer's user");
    if (uid != 0 && setuid(0) == 0)
        return diag_fail(diag, TM_EINTERNAL, "signer.sandbox", NULL, "root could be taken back");
    return TM_OK;
}

tm_err sandbox_begin(int *ret_dir, const char *key_dir, const char *user, int keep, struct diag *diag)
{
    pid_t parent = getppid();
    umask(077);
    if ((keep > 3 && close_range(3, (unsigned)keep - 1, 0) != 0) ||
        close_range((unsigned)keep + 1, ~0u, 0) != 0)
        return sys_fail(diag, "cannot close inherited descriptors");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, 0);
        dup2(null, 1);
        if (null > 2)
            close(null);
    }
    int dir = open(key_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return diag_fail(diag, TM_ENOTFOUND, "signer.key_dir", key_dir, "cannot open the key directory: %s",
                         strerror(errno));
    struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_MEMLOCK, &all); /* as root; else as it was */
    tm_err err = become(dir, user, diag);
    if (err != TM_OK) {
        close(dir);
        return err;
    }
    /* After the change of user, which resets both. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
        getppid() != parent) {
        close(dir);
        return sys_fail(diag, "cannot forbid tracing");
    }
    *ret_dir = dir;
    return TM_OK;
}

/* ---- files ---- */

static void landlock(int dir)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = (1u << 13) - 1}; /* all of the first version */
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0)
        return; /* an older kernel: seccomp and the uid have to do */
    struct landlock_path_beneath_attr beneath = {
        .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                          LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                          LANDLOCK_ACCESS_FS_REMOVE_FILE,
        .parent_fd = dir,
    };
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0)
        syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
}

/* ---- system calls ---- */

static const int allowed[] = {
    /* talking and journal */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(pread64),
    SCMP_SYS(pwrite64), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(ftruncate), SCMP_SYS(lseek),
    SCMP_SYS(close), SCMP_SYS(openat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(getdents64),
    SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlinkat), SCMP_SYS(fadvise64),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(munlock),
    /* threads, signals, time, chance */
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(membarrier), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigaction), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(getpid),
    SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(sysinfo),
#if SANITIZED
    SCMP_SYS(nanosleep), /* the sanitizer's own thread */
#endif
};

/* Calls whose arguments matter. */
static bool add_narrow(scmp_filter_ctx f)
{
    bool good = true;
    /* No executable memory. */
    struct scmp_arg_cmp not_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    good &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_exec) == 0;
    good &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_exec) == 0;
    /* Threads, not processes; clone3 hides its flags in memory, so libc is sent back to clone. */
    struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
    good &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, thread) == 0;
    good &= seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
    static const int fcntls[] = {F_GET_SEALS, F_GETFL, F_GETFD, F_SETFD};
    for (size_t i = 0; i < sizeof fcntls / sizeof fcntls[0]; i++) {
        struct scmp_arg_cmp which = SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)fcntls[i]);
        good &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, which) == 0;
    }
    struct scmp_arg_cmp set_name = SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME);
    good &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, set_name) == 0;
    /* Asked by libraries on their way; not worth dying for. */
    static const int refused[] = {SCMP_SYS(ioctl), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(uname),
                                  SCMP_SYS(prlimit64)};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        good &= seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), refused[i], 0) == 0;
    return good;
}

static tm_err system_calls(struct diag *diag)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool good = f != NULL;
    for (size_t i = 0; good && i < sizeof allowed / sizeof allowed[0]; i++)
        good = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0) == 0;
    good = good && add_narrow(f) && seccomp_load(f) == 0;
    if (f)
        seccomp_release(f);
    return good ? TM_OK : sys_fail(diag, "cannot restrict system calls");
}

tm_err sandbox_close_in(int dir, struct diag *diag)
{
    struct rlimit files = {DESCRIPTORS_MAX, DESCRIPTORS_MAX}, locked;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || setrlimit(RLIMIT_NOFILE, &files) != 0)
        return sys_fail(diag, "cannot give up privileges");
    /* Only where the allowance is unlimited: else memory would run out at the limit. Pages are locked as they are touched. */
    if (!SANITIZED && getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur == RLIM_INFINITY)
        mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
    landlock(dir);
    return system_calls(diag);
}
