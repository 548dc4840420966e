"""The small problem that each step of the Brendel-Bethge attack solves for each sample.

The point nearest to the image in the norm, among those on the linearised boundary, within the box and within a trust region
around the current point (Brendel et al. 2019, https://arxiv.org/abs/1907.01003, eq. 2):

    min_d ||z - d||_p   subject to   b . d = c,   ||d||_2 <= r,   low <= d <= high,       z = image - current.

For a multiplier lam of the boundary and a price mu of the region (in Linf: a bound on |z - d|), every coordinate has a
closed form d_i(lam, mu), b . d grows with lam and ||d|| falls with mu: two nested searches in one dimension, each of bounded
length. Compiled by Numba: the searches of a sample end when they are done, which no operation on a whole batch can.
"""

import math

import numba
import numpy as np

_LINF, _L2, _L1, _L0 = range(4)
_KINDS = {"linf": _LINF, "l2": _L2, "l1": _L1, "l0": _L0}
_INNER, _OUTER = 40, 14
_LARGEST = 1e7
# How far b . d may be beyond c, as a share of |c|; beyond it is adversarial all the same.
_TOLERANCE = 1e-4
# Sums may be reordered, so that they are vectorised; nothing else is assumed.
_compiled = numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


def nearest_on_boundary(
    z: np.ndarray, normals: np.ndarray, wanted: np.ndarray, low: np.ndarray, high: np.ndarray, radius: np.ndarray, norm: str
) -> np.ndarray:
    """Returns the moves d of all samples.

    Args:
        z: float32, (n, size). From the current points to the images.
        normals: float32, (n, size). Normals of the boundary, of any length.
        wanted: float32, (n,). How much the margin, which the normals are slopes of, shall grow.
        low: float32, (n, size). Least move within the box, at most 0.
        high: float32, (n, size). Greatest one, at least 0.
        radius: float32, (n,). Of the trust regions.
        norm: "linf", "l2", "l1" or "l0".

    Returns:
        float32, (n, size). Within box and region; on the boundary where that is in reach, else as far towards it as they
        allow.
    """
    return _solve_all(z, normals, wanted, low, high, radius, _KINDS[norm])


@_compiled
def _solve_all(z, normals, wanted, low, high, radius, kind):
    moves = np.empty_like(z)
    for i in range(len(z)):
        _solve(z[i], normals[i], wanted[i], low[i], high[i], radius[i], kind, moves[i])
    return moves


@_compiled
def _solve(z, normal, wanted, low, high, radius, kind, move):
    length = math.sqrt(_dot(normal, normal))
    if length < 1e-12:
        move[:] = 0
        return
    # Unit normals: the multipliers of all samples are of one scale.
    b, c = (normal / length).astype(z.dtype), wanted / length
    lam, meets = _search(_LINF, z, b, c, low, high, np.inf, c, move)
    if not meets or math.sqrt(_dot(move, move)) > radius:
        _go_towards(b, 1.0 if c > 0 else -1.0, low, high, radius, move)
        return
    trial = np.empty_like(z)
    if kind == _LINF:
        worst, best = 0.0, _farthest(z, move)
    else:
        worst, best = -4.0, 4.0
        lam, meets = _search(kind, z, b, c, low, high, 1e-4, _guess(kind, z, b, c, 1e-4), trial)
        if meets and math.sqrt(_dot(trial, trial)) <= radius:
            move[:] = trial
            return
    for _ in range(_OUTER):
        middle = (worst + best) / 2
        price = middle if kind == _LINF else 10.0**middle
        guess = lam if kind == _LINF else _guess(kind, z, b, c, price)
        lam, meets = _search(kind, z, b, c, low, high, price, guess, trial)
        if meets and math.sqrt(_dot(trial, trial)) <= radius:
            move[:] = trial
            best = middle
        else:
            worst = middle
        if abs(best - worst) < 1e-3 * abs(best):
            break


@_compiled
def _search(kind, z, b, c, low, high, price, guess, move):
    """Searches lam with b . d(lam) = c by regula falsi; fills the move, and tells whether it reaches the boundary."""
    value = _fill(kind, z, b, guess, price, low, high, move)
    step, below, above = max(abs(guess), 1e-3), guess, guess
    at_below = at_above = value
    # A bracket, by steps that double.
    while at_above < c and above < _LARGEST:
        below, at_below = above, at_above
        above, step = above + step, 2 * step
        at_above = _fill(kind, z, b, above, price, low, high, move)
    while at_below >= c and below > -_LARGEST:
        above, at_above = below, at_below
        below, step = below - step, 2 * step
        at_below = _fill(kind, z, b, below, price, low, high, move)
    tolerance, side = _TOLERANCE * abs(c) + 1e-9, 0
    weight_below, weight_above = at_below - c, at_above - c
    for k in range(_INNER):
        if at_above - c <= tolerance or at_above < c:
            break
        # The Illinois variant: an end that stays twice counts half. Every third step bisects, for functions with jumps.
        middle = (below + above) / 2
        if k % 3 != 2 and weight_above != weight_below:
            middle = below - weight_below * (above - below) / (weight_above - weight_below)
            if not below < middle < above:
                middle = (below + above) / 2
        value = _fill(kind, z, b, middle, price, low, high, move)
        if value >= c:
            above, at_above, weight_above = middle, value, value - c
            weight_below = weight_below / 2 if side == 1 else weight_below
            side = 1
        else:
            below, at_below, weight_below = middle, value, value - c
            weight_above = weight_above / 2 if side == -1 else weight_above
            side = -1
    value = _fill(kind, z, b, above, price, low, high, move)
    return above, value >= c - 0.02 * abs(c) - 1e-6


@_compiled
def _guess(kind, z, b, c, mu):
    """The multiplier where no coordinate is at its bound."""
    return c * (1 + mu) - _dot(z, b) if kind == _L2 else c * mu


@_compiled
def _fill(kind, z, b, lam, price, low, high, move):
    """Fills d(lam, price) and returns b . d."""
    total = 0.0
    if kind == _LINF:
        for i in range(len(z)):
            d = min(max(lam * b[i], max(low[i], z[i] - price)), min(high[i], z[i] + price))
            move[i] = d
            total += b[i] * d
    elif kind == _L2:
        # argmin_d (z - d)^2 / 2 + mu d^2 / 2 - lam b d.
        share = 1 / (1 + price)
        for i in range(len(z)):
            d = min(max((z[i] + lam * b[i]) * share, low[i]), high[i])
            move[i] = d
            total += b[i] * d
    elif kind == _L1:
        # argmin_d |z - d| + mu d^2 / 2 - lam b d: z itself, or up to 1 / mu from where the others would go.
        reach = 1 / price
        for i in range(len(z)):
            free = lam * b[i] * reach
            d = min(max(free + min(max(z[i] - free, -reach), reach), low[i]), high[i])
            move[i] = d
            total += b[i] * d
    else:
        # argmin_d [z != d] + mu d^2 / 2 - lam b d: the image's value, or the best other one where that gains more than 1.
        for i in range(len(z)):
            slope = lam * b[i]
            free = min(max(slope / price, low[i]), high[i])
            gain = (price * z[i] * z[i] / 2 - slope * z[i]) - (price * free * free / 2 - slope * free)
            d = free if gain > 1 else z[i]
            move[i] = d
            total += b[i] * d
    return total


@_compiled
def _go_towards(b, sign, low, high, radius, move):
    """Out of reach: as far along the normal as region and box allow."""
    near, far = 0.0, radius
    # While no value is clipped, the multiplier is the length; where the box holds it back, it grows.
    while _clip_along(b, sign * far, low, high, move) < radius and far < _LARGEST:
        near, far = far, 2 * far
    for _ in range(_INNER):
        middle = (near + far) / 2
        if _clip_along(b, sign * middle, low, high, move) <= radius:
            near = middle
        else:
            far = middle
        if far - near <= _TOLERANCE * far:
            break
    _clip_along(b, sign * near, low, high, move)


@_compiled
def _clip_along(b, scale, low, high, move):
    total = 0.0
    for i in range(len(b)):
        d = min(max(scale * b[i], low[i]), high[i])
        move[i] = d
        total += d * d
    return math.sqrt(total)


@_compiled
def _dot(first, second):
    total = 0.0
    for i in range(len(first)):
        total += first[i] * second[i]
    return total


@_compiled
def _farthest(z, move):
    largest = 0.0
    for i in range(len(z)):
        largest = max(largest, abs(z[i] - move[i]))
    return largest
