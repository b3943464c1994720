"""Records tests/fixtures/statistics.txt: distributions, tests and clustered errors of scipy and statsmodels.

    pip install scipy statsmodels
    python tools/oracle/record_statistics.py > tests/fixtures/statistics.txt

The generator of paired scores is repeated in tests/unit/metrics/test_paired.c.
"""
import numpy
import scipy
import statsmodels
from scipy import stats
from statsmodels.api import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

PS = [1e-12, 1e-5, 0.001, 0.025, 0.2, 0.4999, 0.5, 0.6, 0.95, 0.975, 0.9999]
DFS = [1, 2, 3, 7.5, 29, 899, 12345]
BINOMIALS = [(0, 1, 0.5), (3, 10, 0.5), (7, 10, 0.1), (40, 100, 0.5), (450, 1000, 0.5), (1300, 2700, 0.5), (12, 2700, 0.01)]
MCNEMARS = [(0, 0), (1, 0), (3, 3), (5, 12), (12, 5), (40, 61), (300, 341), (0, 30)]
HOLMS = [[0.01, 0.04, 0.03, 0.005], [0.2], [0.5, 0.5, 0.9], [0.001, 0.001, 0.04, 0.02, 0.9, 0.3]]
PAIRS = [(1, 40, 7), (2, 300, 100), (3, 2700, 900), (4, 17, 2)]  # seed, questions, videos


def bits(x):
    x = x * 0x9E3779B1 & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 0x85EBCA77 & 0xFFFFFFFF
    x ^= x >> 13
    return x


def pairs(seed, n, videos):
    for i in range(n):
        x = bits(seed * 1000003 + i)
        video = (x >> 8) % videos
        hard = bits(seed * 7919 + video) % 100
        yield video, float(bits(x) % 100 > hard), float(bits(x + 1) % 110 > hard)


def main():
    print(f"# scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, made by tools/oracle/record_statistics.py")
    for p in PS:
        print(f"normal {p!r} {stats.norm.ppf(p):.17g}")
        for df in DFS:
            print(f"student {p!r} {df!r} {stats.t.ppf(p, df):.17g}")
    for k, n, p in BINOMIALS:
        print(f"binomial {k} {n} {p!r} {stats.binom.cdf(k, n, p):.17g}")
    for b, c in MCNEMARS:
        print(f"mcnemar {b} {c} {mcnemar([[0, b], [c, 0]], exact=True).pvalue:.17g}")
    for p in HOLMS:
        adjusted = multipletests(p, method="holm")[1]
        print("holm", len(p), *map(repr, p), *(f"{a:.17g}" for a in adjusted))
    for seed, n, videos in PAIRS:
        video, a, b = map(numpy.array, zip(*pairs(seed, n, videos)))
        fit = OLS(a - b, numpy.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": video}, use_t=True)
        low, high = fit.conf_int(0.05)[0]
        df = len(set(video)) - 1
        worse = stats.t.sf((fit.params[0] + 0.02) / fit.bse[0], df)
        other = stats.t.sf((0.02 - fit.params[0]) / fit.bse[0], df)
        numbers = [fit.params[0], fit.bse[0], low, high, fit.pvalues[0], worse, max(worse, other)]
        print("pairs", seed, n, videos, *(f"{number:.17g}" for number in numbers))


main()
