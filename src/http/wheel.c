#include "http/internal.h"

/* A connection whose deadline lies beyond the wheel's horizon waits in its last slot and is looked at again there. */
static uint64_t slot_tick(const struct wheel *w, uint64_t deadline_ms)
{
    uint64_t tick = deadline_ms / TICK_MS + 1;
    if (tick <= w->now)
        return w->now + 1;
    return tick < w->now + WHEEL_SLOTS ? tick : w->now + WHEEL_SLOTS - 1;
}

void wheel_remove(struct wheel *w, struct conn *c)
{
    if (!c->on_wheel)
        return;
    if (c->wheel_next)
        c->wheel_next->wheel_prev = c->wheel_prev;
    if (c->wheel_prev)
        c->wheel_prev->wheel_next = c->wheel_next;
    else
        w->slot[c->wheel_slot] = c->wheel_next;
    c->on_wheel = false;
}

static void insert(struct wheel *w, struct conn *c, uint64_t tick)
{
    c->wheel_slot = (uint16_t)(tick % WHEEL_SLOTS);
    c->wheel_prev = NULL;
    c->wheel_next = w->slot[c->wheel_slot];
    if (c->wheel_next)
        c->wheel_next->wheel_prev = c;
    w->slot[c->wheel_slot] = c;
    c->on_wheel = true;
}

void wheel_set(struct wheel *w, struct conn *c, uint64_t deadline_ms)
{
    c->deadline_ms = deadline_ms;
    uint64_t tick = slot_tick(w, deadline_ms);
    if (c->on_wheel) {
        /* How far ahead of now its slot lies: 1 .. WHEEL_SLOTS - 1. */
        uint64_t ahead = (c->wheel_slot + (uint64_t)WHEEL_SLOTS - w->now % WHEEL_SLOTS) % WHEEL_SLOTS;
        if (ahead != 0 && w->now + ahead <= tick)
            return;
        wheel_remove(w, c);
    }
    insert(w, c, tick);
}

void wheel_advance(struct wheel *w, uint64_t now_ms, void (*expired)(struct conn *c))
{
    uint64_t until = now_ms / TICK_MS;
    if (until > w->now + WHEEL_SLOTS) /* after a long sleep every slot is looked at once */
        w->now = until - WHEEL_SLOTS;
    while (w->now < until) {
        w->now++;
        /* Whatever `expired` does to the others, the list's head is read afresh; who stays gets a later slot. */
        struct conn *c;
        while ((c = w->slot[w->now % WHEEL_SLOTS])) {
            wheel_remove(w, c);
            if (c->deadline_ms <= now_ms)
                expired(c);
            else
                insert(w, c, slot_tick(w, c->deadline_ms));
        }
    }
}
