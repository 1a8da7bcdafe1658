/* base/per_thread.h - something that each thread has one of, made when it first asks and freed when it ends. Layer 0. */
#pragma once
#include "base/err.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

/* A static variable with the first two filled in. */
struct per_thread {
    size_t size;          /* of what each thread has; it begins as zero octets */
    void (*end)(void *p); /* ends its contents; the octets are freed by us */
    atomic_int state;     /* ours from here on */
    pthread_key_t key;
};
/* The calling thread's, which stays its own. TM_ENOMEM, TM_EINTERNAL. */
tm_err per_thread_get(void *ret, struct per_thread *p);
