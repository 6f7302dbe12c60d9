"""The seeds of `make test`: at least three device-years of every shape."""

from spot_sim.adversary import draw

# Dense days, weeks and CoAP find most in a second; months cross the ticks' wrap, the change of clocks and 30 days.
SEEDS = tuple(range(1, 31))
LEAST_YEARS = 3.0


def batches(count):
    """SEEDS in so many parts of about the same work."""
    cost = {"dense": 1.6, "week": 2.5, "months": 5.0, "coap": 1.6}
    parts = [[0.0, []] for _ in range(count)]
    for seed in sorted(SEEDS, key=lambda seed: -cost[draw.shape_of(seed)]):
        least = min(parts, key=lambda part: part[0])
        least[0] += cost[draw.shape_of(seed)]
        least[1].append(seed)
    return [tuple(sorted(seeds)) for _, seeds in parts]
