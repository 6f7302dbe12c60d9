"""The house as an electric circuit: two heat capacities and two conductances (2R2C), advanced by its exact solution."""

from math import exp, sqrt


class TwoNode:
    """Air and building mass.

        outdoor --h_out-- air --h_mass-- mass

    air_j_k, mass_j_k: heat capacities in J/K. h_out, h_mass: conductances in W/K. Temperatures in degC, heat flows in
    W.
    """

    __slots__ = ("air_c", "mass_c", "air_j_k", "mass_j_k", "h_out", "h_mass", "_fast", "_slow", "_weights", "_known")

    def __init__(self, air_j_k, mass_j_k, h_out, h_mass, start_c=20.0):
        self.air_c = self.mass_c = start_c
        self.air_j_k, self.mass_j_k, self.h_out, self.h_mass = air_j_k, mass_j_k, h_out, h_mass
        # dx/dt = A (x - end): eigenvalues of A, and the projector on the slow one; the fast one's is the rest
        a, b = -(h_out + h_mass) / air_j_k, h_mass / air_j_k
        c, d = h_mass / mass_j_k, -h_mass / mass_j_k
        root = sqrt((a - d) ** 2 / 4 + b * c)
        self._slow, self._fast = (a + d) / 2 + root, (a + d) / 2 - root
        gap = self._slow - self._fast
        self._weights = ((a - self._fast) / gap, b / gap, c / gap, (d - self._fast) / gap)
        self._known = {}

    @property
    def time_constant_s(self):
        """Seconds in which a house that nobody heats comes 63 % nearer to the outdoor temperature (the slow mode)."""
        return -1 / self._slow

    def end(self, outdoor_c, air_w, mass_w):
        """(air, mass) temperatures at which these heat flows balance."""
        air_c = outdoor_c + (air_w + mass_w) / self.h_out
        return air_c, air_c + mass_w / self.h_mass

    def after(self, seconds, outdoor_c, air_w, mass_w):
        """(air, mass) temperatures after `seconds` of constant outdoor temperature and heat flows."""
        matrix = self._known.get(seconds)
        if matrix is None:
            slow, fast = exp(self._slow * seconds), exp(self._fast * seconds)
            p, q, r, s = self._weights
            step = slow - fast
            matrix = (fast + step * p, step * q, step * r, fast + step * s)
            if len(self._known) < 128:
                self._known[seconds] = matrix
        end_air, end_mass = self.end(outdoor_c, air_w, mass_w)
        air, mass = self.air_c - end_air, self.mass_c - end_mass
        m11, m12, m21, m22 = matrix
        return end_air + m11 * air + m12 * mass, end_mass + m21 * air + m22 * mass

    def stored_j(self):
        """Heat above 0 degC in J."""
        return self.air_j_k * self.air_c + self.mass_j_k * self.mass_c
