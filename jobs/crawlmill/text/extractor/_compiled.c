/* The inner loops of the extractor: the same results as the numpy code beside each call, to the bit, at a fraction of its time.
 *
 * Built by set-up where there is a C compiler; without it numpy does the work alone. Arrays come as buffers, so no header of numpy is needed.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "names of tags are compared as little-endian words: numpy does it on this machine"
#endif

#define MOST 8 /* buffers of one call */

/* A call's buffers: taken together, given back together. */
typedef struct {
    Py_buffer at[MOST];
    int count;
} Buffers;

static int
take(Buffers *taken, PyObject *const *args, const char *formats)
{
    for (taken->count = 0; formats[taken->count]; taken->count++) {
        int writable = formats[taken->count] == 'w';
        if (PyObject_GetBuffer(args[taken->count], &taken->at[taken->count], writable ? PyBUF_WRITABLE : PyBUF_SIMPLE) < 0) {
            while (taken->count--)
                PyBuffer_Release(&taken->at[taken->count]);
            return -1;
        }
    }
    return 0;
}

static void
give_back(Buffers *taken)
{
    while (taken->count--)
        PyBuffer_Release(&taken->at[taken->count]);
}

static PyObject *
misfit(Buffers *taken)
{
    give_back(taken);
    return PyErr_Format(PyExc_ValueError, "the arrays do not fit together");
}

static int
enough(Py_ssize_t given, Py_ssize_t due)
{
    if (given == due)
        return 1;
    PyErr_Format(PyExc_TypeError, "%zd arguments, %zd are due", given, due);
    return 0;
}

/* Short strings by number: `arrays.Lookup`. Slots are a power of two; `keys` and `values` are of one size. */
typedef struct {
    const uint64_t *keys;
    const int64_t *values;
    uint64_t multiplier, shift;
} Lookup;

static int
lookup(Lookup *found, Py_buffer *keys, Py_buffer *values, PyObject *multiplier, PyObject *shift)
{
    found->keys = keys->buf;
    found->values = values->buf;
    found->multiplier = PyLong_AsUnsignedLongLong(multiplier);
    found->shift = PyLong_AsUnsignedLongLong(shift);
    return !PyErr_Occurred() && found->shift < 64 && keys->len == values->len && keys->len == (Py_ssize_t)((1ULL << (64 - found->shift)) * 8);
}

static inline int64_t
number_of(const Lookup *table, uint64_t word)
{
    uint64_t slot = (word * table->multiplier) >> table->shift;
    return table->keys[slot] == word ? table->values[slot] : -1;
}

static inline int
is_small(uint8_t byte)
{
    return (uint8_t)((byte | 0x20) - 'a') < 26;
}

/* ---- Trees: trees.Trees.odds ---- */

#define STRETCH 256 /* columns at a time: their leaf numbers and sums stay in the innermost cache */

/* Wider vectors where the machine has them. One addition is like another, so the sums are the same. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
__attribute__((target_clones("avx2", "default")))
#endif
static void
add(const float *restrict x, Py_ssize_t n, Py_ssize_t trees, Py_ssize_t depth, const int64_t *restrict feature, const float *restrict border,
    const float *restrict leaf, float *restrict odds)
{
    int32_t number[STRETCH];
    float sum[STRETCH];
    for (Py_ssize_t from = 0; from < n; from += STRETCH) {
        int size = n - from < STRETCH ? (int)(n - from) : STRETCH;
        for (Py_ssize_t tree = 0; tree < trees; tree++) {
            const float *restrict values = leaf + (tree << depth);
            for (int level = 0; level < (int)depth; level++) {
                const float *restrict row = x + feature[tree * depth + level] * n + from;
                float limit = border[tree * depth + level];
                int32_t bit = 1 << level;
                if (level == 0)
                    for (int i = 0; i < size; i++)
                        number[i] = row[i] > limit ? bit : 0;
                else
                    for (int i = 0; i < size; i++)
                        number[i] |= row[i] > limit ? bit : 0;
            }
            if (tree == 0)
                for (int i = 0; i < size; i++)
                    sum[i] = values[number[i]];
            else
                for (int i = 0; i < size; i++)
                    sum[i] += values[number[i]];
        }
        for (int i = 0; i < size; i++)
            odds[from + i] = sum[i];
    }
}

static PyObject *
odds(PyObject *self, PyObject *const *args, Py_ssize_t given)
{
    Buffers b;
    if (!enough(given, 7) || take(&b, args, "rrrrw") < 0)
        return NULL;
    Py_ssize_t n = PyLong_AsSsize_t(args[5]), depth = PyLong_AsSsize_t(args[6]);
    Py_ssize_t asked = b.at[1].len / 8, good = n > 0 && depth > 0 && depth <= 8 && b.at[4].len == n * 4 && b.at[0].len % (n * 4) == 0;
    good = good && asked % depth == 0 && b.at[2].len == asked * 4 && b.at[3].len == ((asked / depth) << depth) * 4;
    for (Py_ssize_t at = 0; good && at < asked; at++) {
        int64_t row = ((const int64_t *)b.at[1].buf)[at];
        good = row >= 0 && row < b.at[0].len / (n * 4);
    }
    if (!good)
        return misfit(&b);
    add(b.at[0].buf, n, asked / depth, depth, b.at[1].buf, b.at[2].buf, b.at[3].buf, b.at[4].buf);
    give_back(&b);
    Py_RETURN_NONE;
}

/* ---- Tags: raw._openings and markup.read ---- */

#define BLANK 0x20
#define NBSP 6 /* bytes of `&nbsp;` */

/* The eight bytes from here on up to the first blank or `>`, the rest zero; `left` are there, behind them blanks. `low` is set in every byte.
 * A zero byte of x sets its high bit in (x - 0x01..) & ~x & 0x80..; bits above the first one may be wrong and are not looked at. */
static inline uint64_t
name_of(const uint8_t *at, Py_ssize_t left, uint8_t low)
{
    const uint64_t ones = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
    uint64_t word = BLANK * ones;
    memcpy(&word, at, left < 8 ? (size_t)left : 8);
    word |= low * ones;
    uint64_t blank = word ^ (BLANK * ones), closed = word ^ ('>' * ones);
    uint64_t ends = (((blank - ones) & ~blank) | ((closed - ones) & ~closed)) & high;
    return ends ? word & (((ends & -ends) >> 7) - 1) : word;
}

static PyObject *
openings(PyObject *self, PyObject *const *args, Py_ssize_t given)
{
    Buffers b;
    Lookup table;
    if (!enough(given, 7) || take(&b, args, "rrrr") < 0)
        return NULL;
    if (!lookup(&table, &b.at[2], &b.at[3], args[4], args[5]) || b.at[1].len != 256)
        return misfit(&b);
    const uint8_t *a = b.at[0].buf, *first = b.at[1].buf, *end = a + b.at[0].len;
    PyObject *found = PyList_New(0), *pair;
    for (const uint8_t *at = a; found && (at = memchr(at, '<', end - at)) != NULL; at++) {
        if (at + 1 == end)
            break;
        if (!first[at[1]])
            continue;
        int64_t kind = end - at > 3 && memcmp(at + 1, "!--", 3) == 0 ? PyLong_AsLongLong(args[6]) : number_of(&table, name_of(at + 1, end - at - 1, 0));
        if (kind < 0)
            continue;
        if ((pair = Py_BuildValue("nL", at - a, (long long)kind)) == NULL || PyList_Append(found, pair) < 0)
            Py_CLEAR(found);
        Py_XDECREF(pair);
    }
    give_back(&b);
    return found;
}

/* Tags of a page: complexity.brackets. Bytes are read in lower case, as if bit 5 were set. */
static PyObject *
brackets(PyObject *self, PyObject *const *args, Py_ssize_t given)
{
    Buffers b;
    Lookup table;
    if (!enough(given, 6) || take(&b, args, "rrr") < 0)
        return NULL;
    if (!lookup(&table, &b.at[1], &b.at[2], args[3], args[4]))
        return misfit(&b);
    const uint8_t *a = b.at[0].buf, *end = a + b.at[0].len, *at = memchr(a, '<', end - a);
    Py_ssize_t least = PyLong_AsSsize_t(args[5]), count = 0, closing = 0, depth = 0, low = 0, deepest = 0;
    PyObject *found = PyList_New(0), *pair;
    while (found && at) {
        const uint8_t *next = at + 1 < end ? memchr(at + 1, '<', end - at - 1) : NULL;
        Py_ssize_t length = (next ? next : end) - at, skip = at + 1 < end && (at[1] | BLANK) == '/';
        int64_t kind = number_of(&table, name_of(at + 1 + skip, end - at - 1 - skip, BLANK));
        if (skip)
            depth -= kind == 1; /* NESTING */
        else
            depth += at + 1 < end && is_small(at[1]) && kind != 0; /* FLAT */
        low = depth < low ? depth : low;
        deepest = depth - low > deepest ? depth - low : deepest;
        count++;
        closing += at + 1 < end && at[1] == '/';
        if (length > least) {
            if ((pair = Py_BuildValue("nn", at - a, length)) == NULL || PyList_Append(found, pair) < 0)
                Py_CLEAR(found);
            Py_XDECREF(pair);
        }
        at = next;
    }
    give_back(&b);
    return found ? Py_BuildValue("nnnN", count, closing, deepest, found) : NULL;
}

/* Tokens of a page into lt, gt, tag, close; -1 where brackets do not alternate or one begins no tag. `a` loses its `&nbsp;`. */
static Py_ssize_t
tokens(uint8_t *a, Py_ssize_t size, Py_ssize_t room, const Lookup *table, int64_t unknown, int64_t *lt, int64_t *gt, int64_t *tag, uint8_t *close)
{
    Py_ssize_t count = 0;
    int inside = 0;
    uint8_t special[256] = {['<'] = 1, ['>'] = 1, ['&'] = 1};
    for (Py_ssize_t at = 0; at < size; at++) {
        uint8_t byte = a[at];
        if (!special[byte])
            continue;
        if (byte == '&') {
            if (size - at >= NBSP && memcmp(a + at, "&nbsp;", NBSP) == 0) {
                memset(a + at, 0, NBSP);
                a[at] = BLANK;
            }
        } else if (byte == '<') {
            uint8_t next = at + 1 < size ? a[at + 1] : BLANK;
            if (inside || count == room || !(next == '/' || (next >= 'a' && next <= 'z')))
                return -1;
            Py_ssize_t begin = at + 1 + (next == '/');
            int64_t number = number_of(table, name_of(a + begin, size - begin, 0));
            inside = 1;
            lt[count] = at;
            close[count] = next == '/';
            tag[count] = number < 0 ? unknown : number;
        } else {
            if (!inside)
                return -1;
            inside = 0;
            gt[count++] = at;
        }
    }
    return inside ? -1 : count;
}

/* Pairs tags: levels of tokens, and elements sorted by depth, then place. `open` and `next` are scratch for n + 2 numbers. -1 where they do not pair. */
static Py_ssize_t
elements(Py_ssize_t n, int64_t deepest, const uint8_t *is_void, const int64_t *tag, const uint8_t *close, int64_t *open, int64_t *next, int64_t *delta,
         int64_t *level, int64_t *opens, int64_t *closes, int64_t *parent, int64_t *depth, int64_t *kind, int64_t *key)
{
    Py_ssize_t high = 0, most = 0, count = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        delta[i] = is_void[tag[i]] ? 0 : close[i] ? -1 : 1;
        if (delta[i] > 0) {
            open[++high] = tag[i];
            next[high]++;
            count++;
            most = high > most ? high : most;
        } else if (delta[i] < 0 && (high == 0 || open[high--] != tag[i]))
            return -1;
        level[i] = high;
    }
    if (high || !count || most > deepest)
        return -1;
    for (Py_ssize_t at = 1, before = 0; at <= most; at++) {
        Py_ssize_t here = next[at];
        next[at] = before;
        before += here;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (delta[i] > 0) {
            int64_t at = next[level[i]]++;
            opens[at] = i;
            kind[at] = tag[i];
            depth[at] = level[i];
            key[at] = level[i] * n + i;
            parent[at] = level[i] > 1 ? open[level[i] - 1] : 0;
            open[level[i]] = at;
        } else if (delta[i] < 0)
            closes[open[level[i] + 1]] = i;
    }
    return count;
}

#define ROWS 11 /* lt, gt, tag, delta, level, opens, closes, parent, depth, kind, key */

static PyObject *
markup(PyObject *self, PyObject *const *args, Py_ssize_t given)
{
    Buffers b;
    Lookup table;
    if (!enough(given, 10) || take(&b, args, "wwwrrr") < 0)
        return NULL;
    Py_ssize_t size = PyLong_AsSsize_t(args[8]), room = b.at[2].len, n, pairs = -1;
    int64_t *rows[ROWS], *scratch;
    if (!lookup(&table, &b.at[3], &b.at[4], args[6], args[7]) || size < 0 || size > b.at[0].len || b.at[1].len != room * ROWS * 8)
        return misfit(&b);
    for (int row = 0; row < ROWS; row++)
        rows[row] = (int64_t *)b.at[1].buf + row * room;
    n = tokens(b.at[0].buf, size, room, &table, b.at[5].len - 1, rows[0], rows[1], rows[2], b.at[2].buf);
    if (n >= 2) {
        if ((scratch = calloc(2 * (n + 2), sizeof(int64_t))) == NULL) {
            give_back(&b);
            return PyErr_NoMemory();
        }
        pairs = elements(n, PyLong_AsLongLong(args[9]), b.at[5].buf, rows[2], b.at[2].buf, scratch, scratch + n + 2, rows[3], rows[4], rows[5], rows[6],
                         rows[7], rows[8], rows[9], rows[10]);
        free(scratch);
    }
    give_back(&b);
    return Py_BuildValue("nn", n, pairs);
}

/* ---- Runs of text: blocks._counts ---- */

/* Whether a punctuation mark of more than one byte begins here: those of blocks._foreign_punctuation. */
static inline int
foreign_mark(const uint8_t *a)
{
    switch (a[0]) {
    case 0xE3:
        return a[1] == 0x80;
    case 0xEF:
        return a[1] == 0xBC && (a[2] < 0x90 || a[2] >= 0x9A);
    case 0xE0:
        return a[1] == 0xA5 && (a[2] == 0xA4 || a[2] == 0xA5);
    case 0xD8:
        return a[1] == 0x8C || a[1] == 0x9B || a[1] == 0x9F;
    case 0xDB:
        return a[1] == 0x94;
    }
    return 0;
}

static PyObject *
counts(PyObject *self, PyObject *const *args, Py_ssize_t given)
{
    Buffers b;
    if (!enough(given, 7) || take(&b, args, "rrrrrw") < 0)
        return NULL;
    const uint8_t *a = b.at[0].buf;
    const int64_t *starts = b.at[1].buf, *ends = b.at[2].buf, *text = b.at[3].buf, *kind = b.at[4].buf;
    int64_t *out = b.at[5].buf, one = 1LL << PyLong_AsLong(args[6]);
    Py_ssize_t runs = b.at[1].len / 8;
    if (b.at[2].len != runs * 8 || b.at[3].len != 256 * 8 || b.at[4].len != 256 * 8 || b.at[5].len != 3 * runs * 8)
        return misfit(&b);
    for (Py_ssize_t run = 0; run < runs; run++) {
        int64_t texts = 0, kinds = 0, foreign = 0;
        uint8_t before = 0;
        if (starts[run] < 0 || ends[run] < starts[run] || ends[run] > b.at[0].len - 2)
            return misfit(&b);
        int64_t last = run + 1 < runs ? ends[run] : ends[run] - 2; /* numpy reads three bytes at a time and stops before the page's last two */
        for (int64_t at = starts[run]; at < ends[run]; at++) {
            uint8_t byte = a[at];
            texts += text[byte] + (byte > BLANK && before <= BLANK ? one * one : 0);
            kinds += kind[byte];
            before = byte;
            if (byte >= 0xCE) {
                foreign++;
                if (at < last && foreign_mark(a + at))
                    texts += one;
            }
        }
        out[run] = texts;
        out[runs + run] = kinds;
        out[2 * runs + run] = foreign;
    }
    give_back(&b);
    Py_RETURN_NONE;
}

/* ---- Words: words.attribute_words and lexicon.block_words ---- */

static PyObject *
attributes(PyObject *self, PyObject *const *args, Py_ssize_t given)
{
    Buffers b;
    Lookup table;
    if (!enough(given, 11) || take(&b, args, "rrrrrrww") < 0)
        return NULL;
    const uint8_t *a = b.at[0].buf;
    const int64_t *elements_ = b.at[1].buf, *starts = b.at[2].buf, *ends = b.at[3].buf;
    int64_t *bits = b.at[6].buf, *likeness = b.at[7].buf;
    uint64_t mix = PyLong_AsUnsignedLongLong(args[10]);
    Py_ssize_t n = b.at[1].len / 8, all = b.at[7].len / 8;
    if (!lookup(&table, &b.at[4], &b.at[5], args[8], args[9]) || b.at[2].len != n * 8 || b.at[3].len != n * 8 || b.at[6].len != all * 16)
        return misfit(&b);
    for (Py_ssize_t i = 0; i < n; i++) {
        int64_t element = elements_[i];
        if (element < 0 || element >= all || starts[i] < 0 || ends[i] > b.at[0].len)
            return misfit(&b);
        uint64_t sum = 0;
        for (int64_t at = starts[i]; at < ends[i];) {
            if (!is_small(a[at])) {
                at++;
                continue;
            }
            uint64_t word = 0;
            int64_t begin = at;
            do { /* up to what is no letter, or a capital after a small letter */
                if (at - begin < 8)
                    word |= (uint64_t)(a[at] | 0x20) << (8 * (at - begin));
                at++;
            } while (at < ends[i] && is_small(a[at]) && !(a[at] < 'a' && a[at - 1] >= 'a'));
            int64_t group = number_of(&table, word);
            if (group >= 0)
                bits[2 * element + group / 8] |= 1LL << (8 * (group % 8));
            sum += (word ^ (word >> 29)) * mix;
        }
        likeness[element] = (int64_t)((uint64_t)likeness[element] + sum);
    }
    give_back(&b);
    Py_RETURN_NONE;
}

static PyObject *
sayings(PyObject *self, PyObject *const *args, Py_ssize_t given)
{
    Buffers b;
    Lookup table;
    if (!enough(given, 10) || take(&b, args, "rrrrrrw") < 0)
        return NULL;
    const uint8_t *a = b.at[0].buf;
    const int64_t *blocks = b.at[1].buf, *starts = b.at[2].buf, *ends = b.at[3].buf;
    double *found = b.at[6].buf;
    Py_ssize_t n = b.at[1].len / 8, groups = PyLong_AsSsize_t(args[9]), all = groups > 0 ? b.at[6].len / 8 / groups : -1;
    if (!lookup(&table, &b.at[4], &b.at[5], args[7], args[8]) || b.at[2].len != n * 8 || b.at[3].len != n * 8 || b.at[6].len != groups * all * 8)
        return misfit(&b);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (blocks[i] < 0 || blocks[i] >= all || starts[i] < 0 || ends[i] > b.at[0].len)
            return misfit(&b);
        for (int64_t at = starts[i]; at < ends[i];) {
            uint64_t word = 0;
            int64_t begin = at;
            for (; at < ends[i] && (is_small(a[at]) || a[at] >= 0x80); at++)
                if (at - begin < 8)
                    word |= (uint64_t)(a[at] >= 'A' && a[at] <= 'Z' ? a[at] | 0x20 : a[at]) << (8 * (at - begin));
            int64_t group = at > begin ? number_of(&table, word) : -1;
            if (group >= 0 && group < groups)
                found[group * all + blocks[i]] = 1;
            at += at == begin;
        }
    }
    give_back(&b);
    Py_RETURN_NONE;
}

#define FAST(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}
static PyMethodDef methods[] = {FAST(odds), FAST(openings), FAST(brackets), FAST(markup), FAST(counts), FAST(attributes), FAST(sayings), {NULL, NULL, 0, NULL}};

#define FORM 1 /* as in compiled.py: raised with every change of what the functions take or give */

static int
execute(PyObject *module)
{
    return PyModule_AddIntConstant(module, "FORM", FORM);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)execute}, {0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_compiled", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&module);
}
