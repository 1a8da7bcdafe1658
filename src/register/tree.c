#include "register/tree.h"
#include <stdlib.h>

static size_t row_used(uint64_t size, unsigned level)
{
    return (size_t)(size >> (MERKLE_TILE_HEIGHT * level)) & (MERKLE_TILE_WIDTH - 1);
}

static tm_err row_make(struct tree *t, unsigned level)
{
    if (!t->rows[level] && !(t->rows[level] = malloc(TREE_TILE_OCTETS)))
        return TM_ENOMEM;
    return TM_OK;
}

void tree_done(struct tree *t)
{
    for (unsigned l = 0; l < TREE_ROWS; l++)
        free(t->rows[l]);
    *t = (struct tree){0};
}

tm_err tree_clone(struct tree *ret, const struct tree *from)
{
    struct tree t = *from;
    memset(t.rows, 0, sizeof t.rows);
    for (unsigned l = 0; l < TREE_ROWS; l++) {
        size_t n = row_used(from->size, l);
        if (n == 0)
            continue;
        if (row_make(&t, l) != TM_OK) {
            tree_done(&t);
            return TM_ENOMEM;
        }
        memcpy(t.rows[l], from->rows[l], n * MERKLE_HASH);
    }
    *ret = t;
    return TM_OK;
}

tm_err tree_fold(uint8_t out[32], const uint8_t *hashes, unsigned level)
{
    uint8_t work[MERKLE_TILE_WIDTH / 2][MERKLE_HASH];
    if (level > MERKLE_TILE_HEIGHT)
        return TM_EINTERNAL;
    if (level == 0) {
        memcpy(out, hashes, MERKLE_HASH);
        return TM_OK;
    }
    size_t n = (size_t)1 << (level - 1);
    for (size_t i = 0; i < n; i++)
        TM_TRY(merkle_node(work[i], hashes + 2 * i * MERKLE_HASH, hashes + (2 * i + 1) * MERKLE_HASH));
    for (n /= 2; n > 0; n /= 2)
        for (size_t i = 0; i < n; i++)
            TM_TRY(merkle_node(work[i], work[2 * i], work[2 * i + 1]));
    memcpy(out, work[0], MERKLE_HASH);
    return TM_OK;
}

/* Fill the row of one level and the peaks within it. */
static tm_err row_load(struct tree *t, unsigned level, const struct tile_reader *r)
{
    size_t n = row_used(t->size, level);
    if (n == 0)
        return TM_OK;
    TM_TRY(row_make(t, level));
    uint64_t first = (t->size >> (MERKLE_TILE_HEIGHT * level)) - n;
    if (level == 0) {
        TM_TRY(r->leaves(r->ctx, first, n, t->rows[0]));
    } else {
        uint8_t tile[TREE_TILE_OCTETS];
        for (size_t i = 0; i < n; i++) {
            TM_TRY(r->tile(r->ctx, level - 1, first + i, tile));
            TM_TRY(tree_fold(t->rows[level] + i * MERKLE_HASH, tile, MERKLE_TILE_HEIGHT));
        }
    }
    for (unsigned bit = 0; bit < MERKLE_TILE_HEIGHT; bit++) {
        if (!(n >> bit & 1))
            continue;
        size_t at = n >> (bit + 1) << (bit + 1);
        TM_TRY(tree_fold(t->peaks[MERKLE_TILE_HEIGHT * level + bit], t->rows[level] + at * MERKLE_HASH, bit));
    }
    return TM_OK;
}

tm_err tree_load(struct tree *ret, uint64_t size, const struct tile_reader *r)
{
    if (size >> (MERKLE_TILE_HEIGHT * TREE_ROWS))
        return TM_ETOOBIG;
    struct tree t = {.size = size};
    for (unsigned l = 0; l < TREE_ROWS; l++) {
        tm_err err = row_load(&t, l, r);
        if (err != TM_OK) {
            tree_done(&t);
            return err;
        }
    }
    *ret = t;
    return TM_OK;
}

tm_err tree_append(struct tree *t, const uint8_t leaf[32],
                   tm_err (*full)(void *ctx, unsigned level, uint64_t index, const uint8_t *hashes),
                   void *ctx)
{
    uint8_t node[MERKLE_HASH];
    memcpy(node, leaf, sizeof node);
    for (unsigned level = 0;; level++) {
        if (level == TREE_ROWS * MERKLE_TILE_HEIGHT)
            return TM_ETOOBIG;
        if (level % MERKLE_TILE_HEIGHT == 0) {
            unsigned row = level / MERKLE_TILE_HEIGHT;
            size_t slot = row_used(t->size, row);
            TM_TRY(row_make(t, row));
            memcpy(t->rows[row] + slot * MERKLE_HASH, node, MERKLE_HASH);
            if (slot == MERKLE_TILE_WIDTH - 1 && full)
                TM_TRY(full(ctx, row, t->size >> (level + MERKLE_TILE_HEIGHT), t->rows[row]));
        }
        if (!(t->size >> level & 1)) {
            memcpy(t->peaks[level], node, MERKLE_HASH);
            break;
        }
        TM_TRY(merkle_node(node, t->peaks[level], node));
    }
    t->size++;
    return TM_OK;
}

tm_err tree_root(uint8_t out[32], const struct tree *t)
{
    if (t->size == 0)
        return merkle_empty_root(out);
    unsigned level = (unsigned)__builtin_ctzll(t->size);
    uint8_t acc[MERKLE_HASH];
    memcpy(acc, t->peaks[level], sizeof acc);
    for (level++; level < TREE_ROWS * MERKLE_TILE_HEIGHT; level++)
        if (t->size >> level & 1)
            TM_TRY(merkle_node(acc, t->peaks[level], acc));
    memcpy(out, acc, sizeof acc);
    return TM_OK;
}

/* ---- proofs ---- */

/* The hashes of a tile: of the edge, or full ones through the reader. Each level keeps its last tile, which is all that one walk from a
 * leaf to the root asks for twice. */
static tm_err source_tile(const uint8_t **ret, struct tree_source *s, unsigned row, uint64_t index)
{
    if (index == s->tree->size >> (MERKLE_TILE_HEIGHT * (row + 1))) {
        *ret = s->tree->rows[row];
        return TM_OK;
    }
    if (!s->kept[row].used || s->kept[row].index != index) {
        if (!s->kept[row].hashes && !(s->kept[row].hashes = malloc(TREE_TILE_OCTETS)))
            return TM_ENOMEM;
        s->kept[row].used = false;
        TM_TRY(s->reader->tile(s->reader->ctx, row, index, s->kept[row].hashes));
        s->kept[row].used = true;
        s->kept[row].index = index;
    }
    *ret = s->kept[row].hashes;
    return TM_OK;
}

tm_err tree_subtree(void *source, unsigned level, uint64_t index, uint8_t out[32])
{
    struct tree_source *s = source;
    unsigned row = level / MERKLE_TILE_HEIGHT, height = level % MERKLE_TILE_HEIGHT;
    if (row >= TREE_ROWS || index >= s->tree->size >> level)
        return TM_EINTERNAL;
    uint64_t first = index << height; /* in hashes of the row */
    const uint8_t *hashes;
    TM_TRY(source_tile(&hashes, s, row, first / MERKLE_TILE_WIDTH));
    return tree_fold(out, hashes + first % MERKLE_TILE_WIDTH * MERKLE_HASH, height);
}

void tree_source_done(struct tree_source *s)
{
    for (unsigned l = 0; l < TREE_ROWS; l++)
        free(s->kept[l].hashes);
    *s = (struct tree_source){0};
}
