"""The seeds of `make test`: at least three device-years of every shape."""

from spot_sim.adversary import draw

# Dense days, weeks and CoAP find most in a second; months cross the ticks' wrap, the change of clocks and 30 days.
SEEDS = tuple(seed for seed in range(1, 26) if draw.shape_of(seed) != "months") + (6, 16, 21, 31, 36, 214, 224)
LEAST_YEARS = 3.0

