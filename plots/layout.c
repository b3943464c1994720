/* Plots, second step: where things are on the canvas. Pixels are those of the 900-wide canvas; the PDF scales them. */
#include "plots/plot_impl.h"

#include <math.h>
#include <stdio.h>

/* ---- axes and panels ------------------------------------------------------------------------------------------------------- */

/* The smallest of 1, 2, 5, 10, 20, 50, ... times a power of ten that divides `span` into at most seven steps. */
static double step_for(double span)
{
    double least = span / 7, power = pow(10, floor(log10(least)));
    double digit = least / power - 1e-9;
    return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

struct axis axis_make(double low, double high, double least, double bottom, double top)
{
    double margin = fmax(0.06 * (high - low), (least - (high - low)) / 2);
    low = fmax(low - margin, bottom);
    high = fmin(high + margin, top);
    struct axis axis = {.step = step_for(high - low)};
    axis.low = fmax(floor(low / axis.step + 1e-9) * axis.step, bottom);
    axis.high = fmin(ceil(high / axis.step - 1e-9) * axis.step, top);
    return axis;
}

struct axis_name axis_accuracy_name(const struct axis *axis)
{
    struct axis_name name = {"accuracy (%)"};
    if (axis->low > 0)
        snprintf(name.text, sizeof name.text, "accuracy (%%), axis starts at %.4g", axis->low);
    return name;
}

double panel_px(const struct panel *panel, double x)
{
    return panel->left + (x - panel->x.low) / (panel->x.high - panel->x.low) * (panel->right - panel->left);
}

double panel_py(const struct panel *panel, double y)
{
    return panel->bottom - (y - panel->y.low) / (panel->y.high - panel->y.low) * (panel->bottom - panel->top);
}

double names_left(size_t longest)
{
    enum { LETTER = 8, GAP = 20 };
    return fmin(fmax((double)longest * LETTER + GAP, 120), CANVAS_WIDTH / 2.0);
}

/* ---- legend ---------------------------------------------------------------------------------------------------------------- */

size_t text_width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

struct legend legend_make(const struct series_set *set, const struct panel *panel)
{
    enum { SAMPLE = 75, LETTER = 10 }; /* as wide as gnuplot takes a letter to be when it decides what fits */
    size_t longest = 1;
    for (size_t i = 0; i < set->n; i++) {
        size_t width = text_width(set->series[i].title);
        longest = width > longest ? width : longest;
    }
    int fit = (int)(panel->right - panel->left) / (SAMPLE + LETTER * (int)longest), n = (int)set->n;
    struct legend legend = {.columns = fit < 1 ? 1 : fit > n ? n : fit};
    legend.rows = (n + legend.columns - 1) / legend.columns;
    return legend;
}

/* ---- labels ---------------------------------------------------------------------------------------------------------------- */

struct box { double left, right, top, bottom; };

static double overlap(const struct box *a, const struct box *b)
{
    double width = fmin(a->right, b->right) - fmax(a->left, b->left), height = fmin(a->bottom, b->bottom) - fmax(a->top, b->top);
    return width > 0 && height > 0 ? width * height : 0;
}

static struct box marker_box(const struct panel *panel, const struct label *label)
{
    double x = panel_px(panel, label->x), y = panel_py(panel, label->y);
    return (struct box){x - MARKER / 2.0, x + MARKER / 2.0, y - MARKER / 2.0, y + MARKER / 2.0};
}

static struct box bar_box(const struct panel *panel, const struct label *label)
{
    double x = panel_px(panel, label->x);
    return (struct box){x - 2, x + 2, panel_py(panel, label->high), panel_py(panel, label->low)};
}

static struct box text_box(const struct panel *panel, const struct label *label, double dx, double dy)
{
    enum { LETTER = 7 };
    double x = panel_px(panel, label->x) + dx, y = panel_py(panel, label->y) + dy;
    return (struct box){x, x + LETTER * (double)text_width(label->text), y - LABEL_HEIGHT / 2.0, y + LABEL_HEIGHT / 2.0};
}

/* Whether a text in this box would hide, or be hidden by, something that carries meaning. */
static bool box_is_taken(const struct panel *panel, const struct box *box, const struct label *labels, size_t n)
{
    if (box->left < panel->left || box->right > panel->right || box->top < panel->top || box->bottom > panel->bottom)
        return true;
    for (size_t i = 0; i < n; i++) {
        struct box marker = marker_box(panel, &labels[i]), bar = bar_box(panel, &labels[i]);
        if (overlap(box, &marker) > 0 || overlap(box, &bar) > 0)
            return true;
        if (labels[i].placed) {
            struct box text = text_box(panel, &labels[i], labels[i].dx, labels[i].dy);
            if (overlap(box, &text) > 0)
                return true;
        }
    }
    return false;
}

/* How many sampled points of the lines lie under a box. */
static int lines_under(const struct panel *panel, const struct box *box, const struct label *labels, const struct segment *segments,
                       size_t n_segments)
{
    enum { SAMPLES = 64 };
    int under = 0;
    for (size_t s = 0; s < n_segments; s++) {
        const struct label *from = &labels[segments[s].from], *to = &labels[segments[s].to];
        for (int i = 0; i <= SAMPLES; i++) {
            double t = (double)i / SAMPLES;
            double x = panel_px(panel, from->x + t * (to->x - from->x)), y = panel_py(panel, from->y + t * (to->y - from->y));
            under += x > box->left && x < box->right && y > box->top && y < box->bottom;
        }
    }
    return under;
}

struct spot { int side; double up; }; /* side: 1 right of the point, -1 left, 0 centred; up: in heights of a label */

/* The first of the spots that is free, or a later one that hides less of the lines. */
static bool label_try(const struct panel *panel, struct label *label, const struct spot *spots, size_t n_spots,
                      const struct label *labels, size_t n,
                      const struct segment *segments, size_t n_segments)
{
    double width = text_box(panel, label, 0, 0).right - panel_px(panel, label->x);
    int fewest = -1;
    for (size_t i = 0; i < n_spots; i++) {
        double dx = spots[i].side > 0 ? MARKER * 0.7 : spots[i].side < 0 ? -MARKER * 0.7 - width : -width / 2;
        double dy = -spots[i].up * LABEL_HEIGHT;
        struct box box = text_box(panel, label, dx, dy);
        if (box_is_taken(panel, &box, labels, n))
            continue;
        int under = lines_under(panel, &box, labels, segments, n_segments);
        if (fewest < 0 || under < fewest) {
            label->dx = dx;
            label->dy = dy;
            fewest = under;
        }
    }
    return fewest >= 0;
}

static void label_place(const struct panel *panel, struct label *label, const struct label *labels, size_t n,
                        const struct segment *segments, size_t n_segments)
{
    /* Right of the point and above first, then round it; farther away only if there is no room. */
    static const struct spot near[] = {{1, 0.8}, {-1, 0.8}, {1, -0.8}, {-1, -0.8}, {1, 0}, {-1, 0}, {0, 1.2}, {0, -1.2}, {1, 1.8}, {-1,
            1.8},
                                       {1, -1.8}, {-1, -1.8}};
    static const struct spot far[] = {{1, 2.8}, {-1, 2.8}, {1, -2.8}, {-1, -2.8}, {1, 3.8}, {-1, 3.8}, {1, -3.8}, {-1, -3.8}};
    label->placed = label_try(panel, label, near, sizeof near / sizeof *near, labels, n, segments, n_segments) ||
                    label_try(panel, label, far, sizeof far / sizeof *far, labels, n, segments, n_segments);
}

void labels_place(const struct panel *panel, struct label *labels, size_t n, const struct segment *segments, size_t n_segments)
{
    for (size_t i = 0; i < n; i++)
        if (labels[i].text[0])
            label_place(panel, &labels[i], labels, n, segments, n_segments);
}

/* ---- styles ---------------------------------------------------------------------------------------------------------------- */

struct style style_series(size_t i)
{
    static const char *const colours[][2] = {{"#0072B2", "#005380"}, {"#D55E00", "#9C4500"}, {"#009E73", "#006B4E"},
                                             {"#CC79A7", "#8F4A71"}, {"#E69F00", "#8A5F00"}, {"#56B4E9", "#1F6E9C"}};
    static const int points[] = {7, 5, 9, 13, 11}; /* filled: circle, square, triangle, diamond, triangle down */
    static const int dashes[] = {1, 2, 4, 5};
    return (struct style){colours[i % 6][0], colours[i % 6][1], points[i % 5], dashes[i % 4]};
}

struct style style_baseline(size_t i)
{
    static const int points[] = {6, 4, 8, 12, 10}; /* the same shapes, open */
    static const int dashes[] = {2, 4, 5, 3};
    return (struct style){"#000000", "#333333", points[i % 5], dashes[i % 4]};
}

struct style style_of(const struct series_set *set, size_t index)
{
    size_t baselines = 0;
    for (size_t i = 0; i < index; i++)
        baselines += set->series[i].baseline;
    return set->series[index].baseline ? style_baseline(baselines) : style_series(index - baselines);
}

const char style_published[] = "linecolor rgb '#000000' linewidth 1.8 pointtype 2 pointsize 1.15*point";
